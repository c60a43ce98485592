"""Launchers of one's own: a class in a file computes a run, and one with a queue is asked what became of its jobs."""

import json
import re
import shutil

ONE_BY_ONE = '''"""One cell after the other, in the process of the run itself."""

from dataclasses import dataclass

from bench.api import option
from bench.running.attempt import Event, attempt
from bench.running.launchers import Launcher


@dataclass(frozen=True, kw_only=True)
class OneByOne(Launcher):
    """One cell after the other."""

    words: str = option("computed here", "What is said of each cell.")

    def submit(self, work, hear):
        for planned in work.cells:
            hear(Event("started", planned))
            print(f"{self.words}: {planned.cell}")
            hear(attempt(planned))
'''
LIST = '''"""A queue that nobody works on: a list of cells in a file."""

from dataclasses import dataclass

from bench.running.launchers import Launcher, Queued, Submitted


@dataclass(frozen=True, kw_only=True)
class List(Launcher):
    """Writes down which cells are wanted; takes two at a time."""

    queues = True

    def file(self, results):
        return results / "list.txt"

    def submit(self, work, hear):
        cells = [str(planned.cell) for planned in work.cells][:2]
        self.file(work.settings.results).write_text("\\n".join([*work.queued, *cells]))
        return Submitted(len(cells), "1 list", "it is full")

    def queued(self, results, task):
        file = self.file(results)
        return {cell: Queued("list", "waiting") for cell in file.read_text().split()} if file.is_file() else {}

    def cancel(self, results, task):
        self.file(results).write_text("")
        return "the list is empty"

    def leftovers(self, results, task, moving):
        return [] if moving else [self.file(results)]
'''
RUN = ("run", "--task", "tiny.toml", "--methods", "llft", "--folds", "0")


def test_a_launcher_in_a_file_computes_a_run(place):
    (place.folder / "one_by_one.py").write_text(ONE_BY_ONE)
    plugin = ("--plugin", "one_by_one.py")
    listed = place.bench("ls", "launchers", *plugin).stdout
    assert "one_by_one  One cell after the other, in the process of the run itself." in listed
    assert listed.index("local") < listed.index("slurm") < listed.index("one_by_one")
    assert "words=computed here" in place.bench("ls", "launchers", "one-by-one", *plugin).stdout
    done = place.bench(*RUN, "--on", "one-by-one:words=here", *plugin)
    assert "2 of 2 cells done, 2 computed" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("here: ")] == [
        "here: tiny/small/baseline/f0-s0",
        "here: tiny/small/llft/f0-s0",
    ]
    # Retry uses the launcher of the run.
    (place.folder / "results/cells/tiny/small/llft/f0-s0.json").unlink()
    assert "here: tiny/small/llft/f0-s0" in place.bench("retry", "llft", *plugin).stdout


def test_a_launcher_with_a_queue_is_asked_for_its_jobs(place):
    (place.folder / "list.py").write_text(LIST)
    queue = ("--on", "list", "--plugin", "list.py")
    dry = place.bench(*RUN, *queue, "--dry-run").stdout
    assert dry.splitlines() == ["would submit tiny/small/baseline/f0-s0", "would submit tiny/small/llft/f0-s0"]
    run = ("run", "--task", "tiny.toml", "--methods", "llft,bmft", "--folds", "0", *queue)
    assert "0 of 3 cells done, 2 submitted in 1 list, 1 left for later: it is full." in place.bench(*run).stdout
    assert json.loads(place.bench("status", "--json", *queue[2:]).stdout)[0]["counts"] == {"submitted": 2, "pending": 1}
    assert "1 submitted in 1 list, 2 already queued or running." in place.bench(*run).stdout
    assert (
        "0 jobs cancelled, the list is empty, 0 runs on this machine stopped"
        in place.bench("cancel", *queue[2:]).stdout
    )
    assert json.loads(place.bench("status", "--json", *queue[2:]).stdout)[0]["counts"] == {"pending": 3}
    assert f"would remove {place.folder / 'results/list.txt'}" in place.bench("clean", "--dry-run", *queue[2:]).stderr


def test_a_wrong_launcher_or_option_is_told_with_the_nearest_right_one(place):
    (place.folder / "list.py").write_text(LIST)
    said = place.bench(*RUN, "--on", "lists", "--plugin", "list.py", code=2).stderr
    assert "unknown launcher 'lists': did you mean list? allowed: local, slurm, list" in said
    assert "unknown option 'profile' of launcher local" in place.bench(*RUN, "--profile", "plain", code=2).stderr
    assert "did you mean group_by" in place.bench(*RUN, "--on", "slurm:groupby=fold", code=2).stderr
    assert not (place.folder / "results").exists()


def test_a_queue_gets_finished_cells_that_are_forced_and_baselines_without_weights(place):
    run = ("run", "--task", "tiny.toml", "--folds", "0")
    place.bench(*run, "--methods", "baseline", "--jobs", "1")

    def jobs(*words):
        plan = place.bench(*run, "--on", "slurm", "--dry-run", *words).stdout
        assert "already queued" not in plan
        return int(re.search(r"^(\d+) jobs? in", plan, re.M)[1])

    assert jobs("--methods", "baseline") == 0
    assert jobs("--methods", "baseline", "--force") == 1
    assert jobs("--methods", "llft") == 1
    shutil.rmtree(place.folder / ".cache/baselines")
    assert jobs("--methods", "llft") == 2, "it starts from the weights of the baseline"
