"""`docs/paper.md`: its commands can be given, what it names is there, and it has every row of the register."""

import re
import shlex
from pathlib import Path

import pytest

from bench import registry, taskfile
from bench.cli import _parser
from bench.errors import BenchError
from bench.listing import show
from bench.options import options
from bench.register import REGISTER
from bench.reporting.numbers.claims import CLAIMS
from bench.reporting.numbers.paper_layout import FIGURES, layouts
from bench.running.ablate import ablation
from bench.running.plan import method_specs
from bench.settings import read_settings
from bench.tasks import PRESETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
SPANS = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
COMMANDS = [
    *(
        line.partition("#")[0].strip()
        for block in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
        for line in block.splitlines()
    ),
    *(span for span in SPANS if span.startswith("bench ")),
]
PLACEHOLDERS = ("bench ls methods NAME", "bench report --task NAME --only claims")
SPECS = [span for span in SPANS if re.fullmatch(r"\w+:\w+(=[\w.-]+)?(,\w+=[\w.-]+)*", span)]
ARTEFACTS = {*FIGURES, *(layout.name for layout in layouts()), "claims"}


def check_command(command):
    """Parse a command as the command line does; resolve the task, the methods, the ablation and what is listed."""
    args = _parser().parse_args(shlex.split(command)[1:])
    settings = read_settings(args)
    if hasattr(args, "what"):
        assert show(args.what, args.name)
    if settings.task:
        taskfile.resolve(settings.task)
        ablation(settings)
    if "methods" in vars(args):
        assert method_specs(settings.methods)
    if settings.backbone:
        assert settings.backbone in taskfile.resolve(settings.task).backbones
    if only := getattr(args, "only", None):
        assert set(only.split(",")) <= ARTEFACTS


@pytest.mark.parametrize("command", [one for one in dict.fromkeys(COMMANDS) if one not in PLACEHOLDERS])
def test_a_command_of_the_page_can_be_given(command):
    if command in ("bench tune", "bench doctor"):  # the name of a command alone
        return
    check_command(command)


@pytest.mark.parametrize(
    "command",
    [
        "bench run --task skin-tone --method swift",
        "bench run --task skin-tones --methods swift",
        "bench run --task skin-tone:protocl=paper --methods swift",
        "bench run --task skin-tone --methods swift:scope=modul",
        "bench run --task skin-tone --methods swift --ablate maks",
        "bench ls register D999",
        "bench reprot --paper",
    ],
)
def test_a_command_with_a_mistake_is_found(command):
    with pytest.raises(BenchError):
        check_command(command)


@pytest.mark.parametrize("spec", list(dict.fromkeys(SPECS)))
def test_an_option_of_the_page_exists(spec):
    name, _, given = spec.partition(":")
    kind = registry.METHODS if name in registry.METHODS.catalogue() else registry.DATASETS
    if "=" not in given:  # the option, whatever its value
        assert given in (taskfile.FIELDS if name == "TASK" else options(kind.load(name)))
    elif name == "TASK":
        taskfile.resolve(f"skin-tone:{given}")
    else:
        kind.build(spec)


def test_every_row_of_the_register_is_on_the_page_and_no_other():
    assert set(re.findall(r"\bD\d{2,3}\b", TEXT)) == set(REGISTER)


def test_every_file_that_the_page_names_is_there():
    named = [span for span in SPANS if re.match(r"(bench|methods|datasets|results)/", span)]
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_page_has_all_presets():
    assert set(PRESETS) <= set(SPANS)


def test_every_claim_is_on_the_page():
    rows = TEXT.partition("## Claims")[2].partition("\n## ")[0]
    named = [key for line in rows.splitlines() if line.startswith("| ") for key in re.findall("`([a-z-]+)`", line)]
    assert sorted(named) == sorted(claim.key for claim in CLAIMS)
