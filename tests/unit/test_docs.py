"""The documentation: the page of the command line is what `--help` says, and the first page of the site has right links."""

import importlib.util
from pathlib import Path

from inline_snapshot import snapshot

ROOT = Path(__file__).parents[2]


def hooks():
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_command_line_is_what_help_says():
    """`make docs` writes it again."""
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == hooks().cli_page()


def test_links_of_the_first_page_lead_into_the_site_or_are_text():
    text = "[a](docs/paper.md), [`b`](datasets/isic.py), [c](https://x.org), ![d](reports/t/e.png)"
    assert hooks().first_page(text) == snapshot("[a](paper.md), `b`, [c](https://x.org), ![d](images/t/e.png)")
