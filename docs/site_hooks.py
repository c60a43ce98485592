"""The documentation site: README.md becomes its first page, and `python docs/site_hooks.py` writes docs/cli.md.

MkDocs calls `on_files` and `on_page_markdown` (see mkdocs.yml).
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Command line

Every command and option of `bench`. This page is made from `--help` by `make docs`; do not edit it.
"""


def cli_page() -> str:
    """Return docs/cli.md: one section for each command, one table for each group of its options."""
    from bench import cli

    (verbs,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    return "\n".join([HEAD, *(_command(name, parser) for name, parser in verbs.choices.items())])


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    lines = [f"## bench {name}", "", parser.description or "", ""]
    for group in parser._action_groups:
        options = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if options:
            title = {"positional arguments": "arguments", "options": "options"}.get(group.title or "", group.title)
            lines += [f"| {title} | |", "| --- | --- |", *map(_row, options), ""]
    return "\n".join(lines)


def _row(action: argparse.Action) -> str:
    metavar = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    given = ", ".join(f"{option} {metavar}".strip() for option in action.option_strings) or str(metavar)
    says = (action.help or "").replace("%%", "%").replace("|", r"\|")
    return f"| `{given}` | {says} |"


def first_page(readme: str) -> str:
    """Return the README with links that are right in the site; files that are not in the site become plain code."""
    text = re.sub(r"\]\(docs/([^)]+)\)", r"](\1)", readme)
    text = re.sub(r"(?<!!)\[([^]]+)\]\((?!https?:|#)([^)]+)\)", _link, text)
    return re.sub(r"!\[([^]]*)\]\(reports/([^)]+)\)", r"![\1](images/\2)", text)


def _link(match: re.Match[str]) -> str:
    text, target = match.groups()
    return match[0] if (ROOT / "docs" / target.partition("#")[0]).is_file() else text


def on_page_markdown(markdown, page, config, files):
    """Show pictures of reports from where `on_files` puts them; the name of another file of a report is plain text."""
    text = re.sub(r"!\[([^]]*)\]\(\.\./reports/([^)]+)\)", r"![\1](images/\2)", markdown)
    return re.sub(r"(?<!!)\[([^]]+)\]\(\.\./reports/[^)]+\)", r"\1", text)


def on_files(files, config):
    """Add the first page and the pictures of reports that pages show."""
    from mkdocs.structure.files import File

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "index.md", content=first_page(readme)))
    pages = [readme, *(file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.md")))]
    for name in dict.fromkeys(re.findall(r"!\[[^]]*\]\((?:\.\./)?reports/([^)]+)\)", "".join(pages))):
        files.append(File.generated(config, f"images/{name}", abs_src_path=str(ROOT / "reports" / name)))
    return files


if __name__ == "__main__":
    (ROOT / "docs" / "cli.md").write_text(cli_page(), encoding="utf-8")
