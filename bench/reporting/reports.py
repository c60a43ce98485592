"""`bench report`: from stored cells to the files of a report, and to the terminal."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cells.identity import cells_folder, only_elsewhere, scored_folder, slug
from bench.errors import BenchError, NotWritten, UsageError
from bench.files import not_written, write_file
from bench.reporting import page
from bench.reporting.artefacts import ABLATION, Artefact, artefacts, of_paper
from bench.reporting.catalogue import chosen, lacking, listing
from bench.reporting.findings_report import beside_each_other, read_findings, shown
from bench.reporting.numbers.across_tasks import Across, ours, theirs
from bench.reporting.numbers.aggregate import Results
from bench.reporting.numbers.task_info import Latex
from bench.reporting.render import document
from bench.reporting.render.table import csv
from bench.reporting.render.text import unset
from bench.reporting.tables import across_table, findings_table, terminal, tidy_table
from bench.reporting.tables.published_tables import PUBLISHED
from bench.reporting.task_results import TaskResults, read
from bench.running.history import remembered
from bench.settings import Settings, command
from bench.spec import name_of, parse
from bench.taskfile import FINDING, each, findings_of, whole_task
from bench.tasks import TASKS


def write(results: TaskResults, folder: Path, wanted: Sequence[Artefact] | None = None) -> list[Path]:
    """Write the files of some artefacts, by default of all, into `folder` and return their paths.

    Artefacts whose cells are missing are skipped. Without `wanted`, the page is written too, and files of artefacts
    that no longer exist are removed. No file is written before all of them are made; each is replaced atomically.

    Raises:
        BenchError: for cells that must not be in one table (see `collect`).
        NotWritten: if the folder cannot be written or the disk is full.
    """
    every = artefacts(results) if wanted is None else wanted
    absent = {item.name: not item.possible(results) for item in every}
    made = {
        item.name: item.make(results)
        for item in every
        if (item.partial or not absent[item.name]) and not (wanted is None and item.named_only)
    }
    contents = {name: data for stem, files in made.items() for name, data in document.named(stem, files).items()}
    if wanted is not None:
        return put(folder, contents)
    listed = [item for item in every if item.name in made or absent[item.name]]
    shown = [page.Shown(item.name, item.says, made.get(item.name, {}), item.lines(results)) for item in listed]
    contents[page.NAME] = page.page(results, shown)
    return put(folder, contents, *(f"{name}.*" for name in (f"{ABLATION}*", "table-?", PUBLISHED, *absent)))


def put(folder: Path, contents: Mapping[str, bytes], *stale: str) -> list[Path]:
    """Write files into `folder`, each atomically, and return their paths.

    Other files there that match a pattern of `stale` are removed.

    Raises:
        NotWritten: if the folder cannot be written or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (file for pattern in stale for file in folder.glob(pattern)):
            if old.name not in contents:
                old.unlink()
        for name, data in contents.items():
            write_file(folder / name, data)
            if name.endswith(".tex") and (signs := unset(data.decode())):
                print(f"warning: {name}: pdflatex does not set {signs}: use xelatex or lualatex", file=sys.stderr)
    except OSError as error:
        raise not_written(folder, error.errno) from error
    return [folder / name for name in contents]


def report_findings(settings: Settings, reports: Path, *, min_cell: int = 0, latex: Latex = ()) -> list[TaskResults]:
    """Write and print the report of each finding of a task, and the table, claims and heat map over all of them.

    Raises:
        BenchError: if there are no results; it says how to compute them.
    """
    every, lacking = read_findings(settings, min_cell=min_cell, latex=latex)
    main = [report_results(one, reports / slug(one.task.name)) for one in every]
    write_findings(every, main, reports, lacking)
    return every


def write_findings(
    every: Sequence[TaskResults], main: Sequence[Results], reports: Path, lacking: Sequence[str] = ()
) -> None:
    """Write and print what is over the findings of a task, and the page that links the report of each."""
    found = beside_each_other(every, lacking)
    made = shown(found)
    contents = {name: data for one in made for name, data in document.named(one.name, one.files).items()}
    contents[page.NAME] = page.index(main, made, title=found.task, above="../")
    place = reports / slug(found.task)
    put(place, contents, "findings*")
    _print(findings_table.claims(found))
    _print([f"{place / page.NAME} shows all findings beside each other."])


def report_chosen(settings: Settings, reports: Path, only: str, *, min_cell: int = 0, latex: Latex = ()) -> int:
    """Write the artefacts of a task that `only` names, joined by commas; return 1 if cells of one are missing."""
    code = 0
    for one in each(settings.task):
        results = read(replace(settings, task=one), min_cell=min_cell, latex=latex)
        code = max(code, _write_chosen(results, artefacts(results), only, reports / slug(results.task.name)))
    return code


def report_paper(
    names: Mapping[str, str],
    place: Path,
    settings: Settings,
    *,
    min_cell: int,
    latex: Latex = (),
    only: str | None = None,
    listed: bool = False,
) -> int:
    """Write or list the paper's tables and figures with the tasks of `names` in place of its own.

    Missing cells are printed with the commands that compute them.
    """
    if settings.splits is not None or settings.baseline is not None:
        raise UsageError("--splits and --baseline belong to one task and do not apply to --paper and --twins")
    results = read(replace(settings, task=next(iter(names.values()))), min_cell=min_cell, latex=latex)
    every = of_paper(results, names)
    if listed:
        _print(listing(every, results))
        return 0
    if only is not None:
        return _write_chosen(results, every, only, place)
    _print(write(results, place, [item for item in every if not item.named_only]))
    _print([*lacking(every, results), *_named_only(every, results)], error=True)
    return 0


def list_artefacts(settings: Sequence[Settings]) -> int:
    """Print the artefacts of some tasks, and the commands that compute the missing cells."""
    every = [replace(one, task=spec) for one in settings for spec in each(one.task)]
    for one in every:
        results = read(one)
        head = [f"{results.task.name}:"] * (len(every) > 1)
        _print([*head, *listing(artefacts(results), results)])
    return 0


def report_task(settings: Settings, reports: Path, *, min_cell: int = 0, latex: Latex = ()) -> Results:
    """Write and print the report of a task, and return its main table.

    Of sets with fewer than `min_cell` images of a group and class little is shown (see `numbers.suppression`).

    Raises:
        BenchError: if there are no results; it says how to compute them.
    """
    results = read(settings, min_cell=min_cell, latex=latex)
    main = report_results(results, reports / slug(results.task.name))
    if results.task.finding:
        every = command("report", replace(settings, task=whole_task(settings.task)))
        note = f"Holm's correction covers the claims of {results.task.finding} alone; `{every}` covers all findings"
        print(note, file=sys.stderr)
    return main


def report_results(results: TaskResults, place: Path) -> Results:
    """Write and print the report of the results of a task."""
    gc.freeze()  # records are kept to the end: searching them for garbage again and again takes seconds
    files = write(results, place)
    # The terminal prints commands for this machine, files those for any.
    main = replace(results.tested(results.results), info=results.info)
    terminal.show(main)
    _print([f"{place / page.NAME} shows all of it; {len(files) - 1} tables and figures are beside it."])
    every = artefacts(results)
    if missing := ", ".join(item.name for item in every if not item.possible(results)):
        _print([f"not made because cells are missing: {missing}; --list and the page show how to compute them"], True)
    _print(_named_only(every, results), error=True)
    return main


def report_published(reports: Path) -> int:
    """Write and print tests over tasks on the paper's own numbers; nothing of ours enters."""
    write_across(theirs(), reports / "published", across_table.NAME)
    return 0


def write_across(across: Across | None, reports: Path, name: str) -> dict[str, bytes]:
    """Write and print methods over tasks, and return the files by suffix; without `across` remove earlier files."""
    from bench.reporting.figures import rank_diagram

    texts = {**document.written(across_table.section(across)), "csv": across_table.csv(across)} if across else {}
    made = {kind: text.encode() for kind, text in texts.items()}
    if across and any(item.ranks for item in across.ranked):
        made |= rank_diagram.diagram(across)
    files = put(reports, document.named(name, made), f"{name}.*")
    for item in across.ranked if across else ():
        _print(across_table.sentences(item))
    _print(files)
    return made


def report_all(settings: Settings, reports: Path, *, min_cell: int = 0, latex: Latex = ()) -> int:
    """Write and print the reports of all tasks with results; return 1 if one of them failed, which is printed.

    Raises:
        BenchError: if there are no results at all.
    """
    tasks, done = with_results(settings), 0
    every: list[Results] = []
    tidy: list[dict[str, Any]] = []
    for one in tasks:
        try:
            several = bool(findings_of(one.task))
            how: dict[str, Any] = {"min_cell": min_cell, "latex": latex}
            found, lacking = read_findings(one, **how) if several else ([read(one, **how)], [])
            main = [report_results(results, reports / slug(results.task.name)) for results in found]
            if several:
                write_findings(found, main, reports, lacking)
            every += main
            tidy += [line for results in found for line in tidy_table.records(results)]
            done += 1
        except NotWritten:
            raise
        except BenchError as error:
            print(f"no report of {one.task}: {error}", file=sys.stderr)
    shown = []
    for synthetic, name, says in (
        (False, across_table.NAME, "methods over tasks"),
        (True, f"{across_table.NAME}-synthetic", "methods over tasks, on synthetic data"),
    ):
        made = write_across(ours(item for item in every if item.info.synthetic is synthetic), reports, name)
        shown += [page.Shown(name, says, made)] if made else []
    whole = csv(tidy, tidy_table.COLUMNS).encode()
    _print(put(reports, {tidy_table.NAME: whole, page.NAME: page.index(every, shown)}))
    return int(done < len(tasks))


def with_results(settings: Settings) -> list[Settings]:
    """Return the tasks of the suite that have results, then the user's own with the settings of their last run.

    Last are those of predictions that were made elsewhere. A finding is a part of its task's report, and so is a
    variant; if the task itself has no results, the variant has a report of its own.

    Raises:
        BenchError: if there are no results at all.
    """
    for name in ("splits", "baseline"):
        if getattr(settings, name) is not None:
            raise UsageError(f"--{name} belongs to one task: give --task")
    cells = cells_folder(settings.results)
    listed = [replace(settings, task=name) for name in TASKS if any((cells / slug(one)).is_dir() for one in each(name))]
    own = [
        replace(runs[-1], plugins=settings.plugins)  # cells of other plugins are left out, and named
        for name, runs in remembered(settings.results).items()
        if runs and (cells / slug(name)).is_dir() and name not in TASKS and not _is_finding(name)
        if name == name_of(name) or not (cells / slug(name_of(name))).is_dir()
    ]
    own += _of_findings(settings)
    own += [
        replace(settings, task=str(file))
        for file in sorted(scored_folder(settings.results).glob("*.toml"))
        if only_elsewhere(settings.results, file.stem)
    ]
    if not listed and not own:
        hint = command("run", replace(settings, task="NAME"))
        raise BenchError(f"no results in {settings.results}: `{hint}` makes those of the task NAME")
    return [*listed, *own]


def _of_findings(settings: Settings) -> list[Settings]:
    """Return the person's own tasks of several findings of which some were run, each once."""
    found: dict[str, Settings] = {}
    for name, runs in remembered(settings.results).items():
        if runs and _is_finding(name) and name_of(name) not in TASKS:
            found.setdefault(name_of(name), replace(runs[-1], plugins=settings.plugins, task=name_of(runs[-1].task)))
    return list(found.values())


def _is_finding(name: str) -> bool:
    return set(parse(name).options) == {FINDING}


def _write_chosen(results: TaskResults, every: Sequence[Artefact], only: str, place: Path) -> int:
    wanted = chosen(every, only)
    _print(write(results, place, wanted))
    _print(lacking(wanted, results), error=True)
    return int(not all(item.possible(results) for item in wanted))


def _named_only(every: Sequence[Artefact], results: TaskResults) -> list[str]:
    names = ", ".join(item.name for item in every if item.named_only and item.possible(results))
    return [f"not made: {names} would show images of patients; `--only` makes it, but do not pass it on"] * bool(names)


def _print(lines: Iterable[object], error: bool = False) -> None:
    for line in lines:
        print(line, file=sys.stderr if error else sys.stdout)
