"""`bench tune` as a user runs it: the planted best is found, nothing is computed twice, no test image is read."""

import json
import shutil
import signal
import subprocess

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests import factory

PLUGIN = '''"""{title}: a method with a grid.

Paper: none.
Code: none.
Departures: none.
"""

from dataclasses import dataclass

from bench.api import Method, option


@dataclass(frozen=True, kw_only=True)
class {title}(Method):
    """Changes the head by hand."""

    title = "{title}"
    uses = frozenset({uses})
    search = {search}

    by: float = option({default}, "How far.")

    def fit(self, run):
        run.score(run.model, "external")
        {body}
        return run.model
'''
TURN = {"title": "Turn", "uses": '{"external"}', "default": -1.0, "search": '{"by": (-1.0, -0.5, 1.0, 0.0)}'}
"""Multiplies logits: 1 leaves the baseline as it is, a negative number turns its ranking round, 0 ends it."""
SHIFT = {"title": "Shift", "uses": '{"external"}', "default": 0.0, "search": '{"by": (-1.0, 0.2, 0.5)}'}
RUN = ("--task", "tiny.toml", "--methods", "turn,shift", "--plugin", "turn.py", "--plugin", "shift.py")


def furnish(place):
    """A baseline that has learned something, and two methods."""
    text = (place.folder / "tiny.toml").read_text()
    (place.folder / "tiny.toml").write_text(text.replace("pretrain_epochs = 1", "pretrain_epochs = 8"))
    turn = "for weight in run.model.linear.parameters(): weight.data *= self.by"
    (place.folder / "turn.py").write_text(PLUGIN.format(**TURN, body=turn))
    (place.folder / "shift.py").write_text(PLUGIN.format(**SHIFT, body="run.model.linear.bias.data += self.by"))
    return place


@pytest.fixture(scope="module")
def tuned(place_in, tmp_path_factory):
    """The tiny task with untuned cells and their report, then tuned: half a minute, so what takes it is slow."""
    place = furnish(place_in(tmp_path_factory.mktemp("tuned")))
    place.bench("run", *RUN)
    place.bench("report", *RUN[:2], *RUN[4:])
    place.untuned = files(place.folder / "reports/tiny")
    place.first = place.bench("tune", *RUN)
    return place


@pytest.fixture
def copy(tuned, place_in, tmp_path):
    """A place of one's own in which the tuning is done."""
    shutil.copytree(tuned.folder, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "results" / "runs").glob("*.json"):  # the folders that a run remembers are absolute
        file.write_text(file.read_text().replace(str(tuned.folder), str(tmp_path)))
    return furnish(place_in(tmp_path))


def files(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def tuning(place):
    """Trials and choices, by place."""
    found = files(place.folder / "results/tuning/cells/tiny/small")
    return (
        {name: data for name, data in found.items() if "@tuned" not in name},
        {name: json.loads(data) for name, data in found.items() if "@tuned" in name},
    )


def record(place, spec, fold=0):
    return factory.plain(place.folder / f"results/cells/tiny/small/{spec}/f{fold}-s0.json")


def scores(place, spec, fold):
    """AUC and EOdds on the holdout from the stored logits, by scikit-learn and by counting."""
    name = spec.replace(":", "+").replace("=", "-")
    table = pd.read_parquet(place.folder / f"results/tuning/cells/tiny/small/{name}/f{fold}-s0.parquet")
    held = table[table["set"] == "holdout"]
    rates = held.assign(hit=held["logit"] > 0).groupby(["y", "a_age"])["hit"].mean()
    gap = (abs(rates[1, 0] - rates[1, 1]) + abs(rates[0, 0] - rates[0, 1])) / 2
    return roc_auc_score(held["y"], held["logit"]), gap, held["logit"].gt(0).nunique() == 1


@pytest.mark.slow
@pytest.mark.parametrize("fold", [0, 1])
def test_the_planted_value_is_chosen_for_every_fold_and_run_on_the_usual_sets(tuned, fold):
    one = record(tuned, "turn@tuned", fold)
    assert one["cell"]["parameters"] == {"by": 1.0}
    assert (one["cell"]["spec"], one["cell"]["method"]) == ("turn@tuned", "turn")
    choice = one["tuned"]
    assert (choice["chosen"], choice["objective"], choice["trials"]) == ("turn:by=1.0", "constrained", 4)
    assert set(choice["scores"]) == {"turn", "turn:by=-0.5", "turn:by=1.0", "turn:by=0.0"}
    default = record(tuned, "turn", fold)
    assert one["data"] == default["data"]
    assert one["scores"]["ood_neutral"]["auc"] == pytest.approx(1 - default["scores"]["ood_neutral"]["auc"])
    # Each trial looks once at every image of the external set that is cut from what is left.
    assert 0 < choice["images_forward"] < 4 * one["data"]["external"]["n"]
    assert choice.get("images_backward", 0) == 0
    counts = [record(tuned, "turn@tuned", one)["tuned"]["images_forward"] for one in (0, 1)]
    assert f"turn: 8 trials, {sum(counts)} images forward, 0 backward" in tuned.first.stdout


@pytest.mark.slow
@pytest.mark.parametrize("fold", [0, 1])
def test_the_choice_is_the_one_that_the_rule_makes_of_the_stored_logits(tuned, fold):
    grid = ["shift", *(f"shift:by={by}" for by in (-1.0, 0.2, 0.5))]
    floor = scores(tuned, "baseline", fold)[0] - 0.01
    table = {spec: scores(tuned, spec, fold) for spec in grid}
    feasible = [spec for spec, (auc, _, degenerate) in table.items() if auc >= floor and not degenerate]
    best = min(table[spec][1] for spec in feasible)
    assert record(tuned, "shift@tuned", fold)["tuned"]["chosen"] == next(s for s in feasible if table[s][1] == best)


@pytest.mark.slow
def test_again_computes_nothing_and_another_objective_no_trial(copy):
    trials, choices = tuning(copy)
    again = copy.bench("tune", *RUN)
    assert "6 of 6 cells done, 0 computed, 0 recomputed" in again.stdout
    assert tuning(copy) == (trials, choices)
    other = copy.bench("tune", *RUN, "--objective", "threshold")
    assert "18 cells, 18 done" in other.stderr
    assert tuning(copy)[0] == trials
    assert {choice["objective"] for choice in tuning(copy)[1].values()} == {"threshold"}
    assert record(copy, "turn@tuned")["tuned"]["objective"] == "threshold"


@pytest.mark.slow
def test_the_main_table_stays_untuned(tuned, copy):
    copy.bench("report", *RUN[:2], *RUN[4:])
    made = files(copy.folder / "reports/tiny")
    table = made["tuned.md"].decode()
    # The page shows all that there is.
    assert "Turn (tuned)" in made.pop("index.html").decode()
    assert "Turn (tuned)" not in tuned.untuned["index.html"].decode()
    untuned = {name: data for name, data in tuned.untuned.items() if name != "index.html"}
    assert {name: data for name, data in made.items() if not name.startswith("tuned")} == untuned
    assert set(made) - set(untuned) == {"tuned.md", "tuned.tex", "tuned.csv"}
    rows = {line.split(" | ")[0].strip("| ") for line in table.splitlines() if line.startswith("|")}
    assert rows == {"method", "---", "Baseline", "Turn (tuned)", "Shift (tuned)"}
    counts = [record(copy, "turn@tuned", fold)["tuned"]["images_forward"] for fold in (0, 1)]
    assert (
        f"Turn (tuned): objective constrained, trials per fold: 4, images in all of them: {sum(counts)} forward, "
        "0 backward. Chosen: turn:by=1.0 (fold 0 and 1)."
    ) in table
    assert "tab:tiny-small-tuned" in made["tuned.tex"].decode()


@pytest.mark.slow
def test_killed_the_next_tuning_ends_with_the_same_choices(tuned, place_in, tmp_path):
    place = furnish(place_in(tmp_path))
    shutil.copytree(tuned.folder / ".cache", tmp_path / ".cache")
    words = place.command("tune", *RUN)
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("[4/18]"))
        process.send_signal(signal.SIGKILL)
    before, choices = tuning(place)
    before = {name: data for name, data in before.items() if name.endswith(".json")}
    assert 4 <= len(before) < 18
    assert choices == {}
    place.bench("tune", *RUN)
    after, choices = tuning(place)
    assert {name: after[name] for name in before} == before
    assert choices == tuning(tuned)[1]
    for spec in ("turn@tuned", "shift@tuned"):
        for key in ("hash", "scores", "tuned"):
            assert record(place, spec)[key] == record(tuned, spec)[key]


FAR = '''"""Far: a test set that cannot be read.

Access: none.
"""

from dataclasses import dataclass

from bench.api import Dataset
from bench.errors import DataMissing


@dataclass(frozen=True, kw_only=True)
class Far(Dataset):
    """Raises when it is read."""

    access, licence, citation, synthetic = "no way.", "none", "none", True

    def table(self, root):
        raise DataMissing("the far hospital", get_it=self.access)
'''


PEEKS = PLUGIN.format(
    **{**SHIFT, "title": "Peeks", "uses": '{"external", "ood_neutral"}', "search": "{}"},
    body='run.split("ood_neutral")',
)
"""Declares a test set and reads it."""


@pytest.mark.slow
def test_no_test_image_is_in_reach_of_a_run(copy):
    (copy.folder / "peeks.py").write_text(PEEKS)
    words = ("--task", "tiny.toml", "--methods", "peeks", "--plugin", "peeks.py", "--folds", "0")
    done = copy.bench("run", *words, code=1)
    assert "UndeclaredSplit: peeks reads the split 'ood_neutral'" in done.stderr


@pytest.mark.slow
def test_no_test_image_is_in_reach(copy):
    """A test set whose reading raises: all is chosen before anyone looks for it. A method that asks is refused."""
    text = (copy.folder / "tiny.toml").read_text()
    near = '"phantom:family=chest,hospital=ood_neutral,images=100,size=32"'
    (copy.folder / "tiny.toml").write_text(text.replace(near, '"far"'))
    (copy.folder / "far.py").write_text(FAR)
    (copy.folder / "peeks.py").write_text(PEEKS)
    shutil.rmtree(copy.folder / "results")
    plugins = [word for name in ("turn", "peeks", "far") for word in ("--plugin", f"{name}.py")]
    done = copy.bench("tune", *RUN[:2], "--methods", "turn,peeks", *plugins, "--folds", "0", code=3)
    assert "the far hospital not found" in done.stderr
    assert done.stderr.count("UndeclaredSplit: peeks reads the split 'ood_neutral'") == 2
    assert "not chosen: peeks, fold 0, seed 0: no setting of 1" in done.stderr
    trials, choices = tuning(copy)
    assert {name: choice["chosen"] for name, choice in choices.items()} == {"turn@tuned/f0-s0.json": "turn:by=1.0"}
    for name, data in trials.items():
        if name.endswith("scores.json"):
            assert set(json.loads(data)["sets"]) == {"val", "holdout"}
        elif name.endswith("0.json"):
            assert set(json.loads(data)["data"]) == {"train", "val", "external", "holdout"}
    assert not (copy.folder / "results/cells").exists()


@pytest.mark.slow
def test_a_trial_that_fails_is_never_chosen_and_a_choice_of_other_data_is_stale(copy):
    body = "assert self.by != 0.5, 'too far'; run.model.linear.bias.data += self.by"
    (copy.folder / "shift.py").write_text(PLUGIN.format(**SHIFT, body=body))
    shutil.rmtree(copy.folder / "results/tuning/cells/tiny/small/shift+by-0.5")
    done = copy.bench("tune", *RUN, "--folds", "0", code=1)
    assert "shift+by-0.5/f0-s0: AssertionError: too far" in done.stderr
    assert "never chosen: 1 failed" in done.stdout
    assert record(copy, "shift@tuned")["tuned"]["failed"] == 1

    text = (copy.folder / "tiny.toml").read_text()
    (copy.folder / "tiny.toml").write_text(text.replace("lr_head = 1e-2", "lr_head = 2e-2"))
    words = ("run", *RUN[:2], "--methods", "turn@tuned", *RUN[4:], "--folds", "0")
    done = copy.bench(*words, code=1)
    assert "is stale: run `bench tune --task tiny.toml --methods turn " in done.stderr
    assert "` again" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--objective", "liner"], "did you mean linear"),
        (["--trials", "0"], "1 or more expected"),
        (["--methods", "baseline"], "name methods besides baseline"),
        (["--methods", "swift@tuned"], "without @tuned"),
        (["--methods", "swfit"], "did you mean swift"),
        (["--folds", "7"], "folds 0 to 1"),
    ],
)
def test_mistakes_on_the_command_line(place, words, says):
    done = place.bench("tune", "--task", "tiny.toml", *words, code=2)
    assert says in done.stderr
    assert not (place.folder / "results").exists()


def test_a_run_of_what_was_never_tuned_says_what_to_do(place):
    done = place.bench("run", "--task", "tiny.toml", "--methods", "swift@tuned", "--folds", "0", code=1)
    assert (
        "nothing has been chosen for swift on fold 0, seed 0: run `bench tune --task tiny.toml --methods swift --folds 0`"
        in done.stderr
    )
    assert "1 of 2 cells done, 1 failed" in done.stdout
