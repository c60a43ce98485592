"""Every command of the pages that CI does not run: run here, planned only, or named with the reason why not.

The phantoms of the paper's sources take the place of its images, and recipes have one epoch.
"""

import re
import shlex
import shutil
import tomllib
from importlib.util import find_spec

import pytest

from bench import registry
from tests.end_to_end.test_pages import ROOT, blocks, run
from tests.task_texts import CHEST, SEX

ELSEWHERE = {"README.md", "your-data.md", "your-model.md", "plugins.md", "cli.md"}
"""Pages that tests/end_to_end/test_pages.py runs, and the generated one."""
PAGES = sorted(file.name for file in (ROOT / "docs").glob("*.md") if file.name not in ELSEWHERE)
SOURCES = ("mimic_cxr", "chexpert", "nih_cxr14", "isic", "fitzpatrick17k", "ddi", "atlas", "pad_ufes_20")
SMALL = "epochs=1,folds=2,pretrain_epochs=1"
INSTEAD = {
    "phantom-cxr-age": f"phantom-cxr-age:{SMALL}",
    "phantom-cxr-age:external=0.2,epochs=20": f"phantom-cxr-age:external=0.2,{SMALL}",
    "own.toml": f"phantom-cxr-age:{SMALL}",
    "DIR": "phantoms",
}
"""A word of a command -> what is run here."""
MORE = {
    "bench run --task phantom-cxr-age:external=0.2,epochs=20": "--methods llft",
    "bench run --task skin-tone --methods diff_gda:evaluation_images=0": "--data phantoms --dry-run",
    "bench run --task phantom-cxr-age --methods swift --ablate external": "--folds 0",
    "bench run --task phantom-cxr-age --methods swift --ablate apply": "--folds 0",
    "bench run --task skin-tone,skin-gender --backbone all --seeds 0,1,2": "--data phantoms --dry-run",
    "bench run --task phantom-cxr-age --methods 'swift:epsilon=[0.05,0.1,0.2],bmft'": "--folds 0",
    "bench run --task my-tied.toml --methods all": "--dry-run",
    "bench run --task my-tied.toml:untied=true": "--dry-run",
    "bench run --task my-tied.toml:draw=1 --methods all": "--dry-run",
    "bench run --task my-tied.toml:odds=64 --methods all": "--dry-run",
    "bench tune --task phantom-cxr-age --methods swift,bmft --trials 8": "--folds 0",
    "bench run --task skin-tone:preset=paper --methods swift,diff_gda --data DIR": "--dry-run",
    "bench run --paper --preset paper --data DIR": "--dry-run",
    "bench report --paper --preset paper --data DIR": "--list",
    "bench report --paper": "--list",
    "bench report --paper --twins": "--list",
    "bench run --methods all --task cxr-age --data DIR": "--dry-run",
}
"""A command -> options that keep it small, or that plan or list what needs days or the paper's images."""
PHANTOMS = "cxr-age:image_size=64,weights=none,folds=2,pretrain_epochs=6,pretrain_lr=0.001,epochs=10,batch=64"
CODES = {
    "bench report --task phantom-cxr-age --only table-6,figure-4": 1,  # names missing results
    "bench report --paper --only claims": 1,
    f"bench run --task {PHANTOMS} --methods all --data phantoms": 1,  # a tree has a truncated file
    "bench doctor nih_cxr14 --data DIR": 3,  # more than one file in twenty is missing, as planted
    "bench doctor cxr-age --data DIR": 3,
    "bench doctor cxr-age --data DIR --full": 3,
    "bench doctor cxr-age --data DIR --json": 3,
}
"""The exit code of a command, if it is another than 0."""
HAM10000 = "needs HAM10000, of which there is no phantom"
NOT_RUN = {
    "bench run --task ham10000-sex:preset=reference": HAM10000,
    "bench prepare ham10000-melanoma-sex --data DIR": HAM10000,
    "bench run --task ham10000-melanoma-sex --methods everything --data DIR": HAM10000,
    'bench run --task ham10000-melanoma-sex --methods "swift,swift:mask_every=1,swift:gamma=otsu" --data DIR': HAM10000,
    "bench run --task ham10000-melanoma-sex --methods swift --ablate mask --data DIR": HAM10000,
    "bench report --task ham10000-melanoma-sex --data DIR": HAM10000,
    "bench run --methods all --task phantom-cxr-age --on slurm --profile my-cluster.toml": "needs SLURM: tests/slurm",
    "bench merge north.tar.gz south.tar.gz": "needs two hospitals: tests/end_to_end/test_sites.py",
    "bench score predictions.csv --task my-films.toml --data DIR": "needs that task: tests/end_to_end/test_scored.py",
}


def commands(page):
    """The commands of a page, without comments, prompts and line breaks."""
    text = "\n".join(text.replace("\\\n", " ") for kind, text in blocks(f"docs/{page}") if kind in ("", "console"))
    lines = (line.removeprefix("$ ").partition("  #")[0] for line in text.splitlines())
    return [" ".join(line.split()) for line in lines if line.startswith("bench ")]


def here(command):
    """A command as it is run here."""
    small = re.sub(r"(?<=[:,])(pretrain_)?epochs=\d+", lambda m: f"{m[1] or ''}epochs=1", command)
    small = small.replace("--images 1000", "--images 200").replace("--trials 8", "--trials 2")
    small = small.replace("--methods all --data phantoms", "--methods llft --data phantoms")
    return shlex.join([*(INSTEAD.get(word, word) for word in shlex.split(small)), *MORE.get(command, "").split()])


def test_what_is_said_of_commands_is_said_of_commands_that_a_page_has():
    every = [command for page in PAGES for command in commands(page)]
    assert len(every) >= 30
    assert {*MORE, *CODES, *NOT_RUN} - {*every} == set()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with results of three methods, and phantoms in the layout of each source."""
    folder = tmp_path_factory.mktemp("base")
    run(folder, f"bench run --task phantom-cxr-age:{SMALL} --methods llft,swift")
    run(folder, f"bench phantom {' '.join(SOURCES)} --out phantoms --images 200")
    return folder


@pytest.fixture
def place(base, tmp_path):
    """A copy of this folder."""
    return shutil.copytree(base, tmp_path / "place")


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_every_command_of_a_page(place, page):
    if page == "your-predictions.md":
        write_predictions(place)
    if page == "tasks.md":
        write_tied(place)
    if page == "phantoms.md":
        shutil.rmtree(place / "phantoms")  # one of its commands writes them
    for command in commands(page):
        if command in NOT_RUN:
            continue
        for archive in place.glob("phantom-cxr-age*.tar.gz"):
            archive.rename(place / "own.tar.gz")
        run(place, here(command), code=CODES.get(command, 0))


def write_tied(place):
    """Write a task with the table of the page that plants a tie."""
    (table,) = (text for kind, text in blocks("docs/tasks.md") if kind == "toml" and "[source.tie]" in text)
    own = CHEST.format(name="my-tied", images=200, attribute=SEX)
    (place / "my-tied.toml").write_text(own + table, encoding="utf-8")


def write_predictions(place):
    """Write the table of the page's script as the file that its command reads."""
    (script,) = (text for kind, text in blocks("docs/your-predictions.md") if kind == "python")
    (place / "predictions.py").write_text(
        script + 'table.assign(fold=0, set="near").to_csv("predictions.csv", index=False)\n', encoding="utf-8"
    )
    run(place, "python predictions.py")


@pytest.mark.slow
@pytest.mark.long
def test_the_scripts_of_the_page_on_python(place):
    scripts = [text for kind, text in blocks("docs/python.md") if kind == "python"]
    text = "\n".join(scripts).replace('"phantom-cxr-age"', repr(INSTEAD["phantom-cxr-age"]))
    (place / "script.py").write_text(text, encoding="utf-8")
    run(place, "python script.py")


@pytest.mark.slow
@pytest.mark.long
def test_the_task_of_the_page_on_datasets_and_the_examples(place):
    (task,) = (text for kind, text in blocks("docs/datasets.md") if kind == "toml")
    (place / "skin-tone-malignant.toml").write_text(task, encoding="utf-8")
    run(place, "bench run --task skin-tone-malignant.toml --data phantoms --dry-run")
    run(place, f"bench run {ROOT}/docs/examples/plan.toml --dry-run")


def test_the_networks_of_the_page_on_networks_exist():
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    (text,) = (text for kind, text in blocks("docs/backbones.md") if kind == "toml")
    networks = tomllib.loads(text)["backbones"]
    assert len(networks) == 3
    for name in networks:
        assert registry.backbone(name, "imagenet").input.channels in (1, 3)
