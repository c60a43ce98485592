"""What mitigating one attribute did to others and to crossings: a table for each backbone and test set."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reporting.numbers.aggregate import warning_of
from bench.reporting.numbers.display_names import display_name
from bench.reporting.numbers.further import LEAST, Line, Measured, frame
from bench.reporting.numbers.ranking import NEEDS, SUPPORTED
from bench.reporting.numbers.task_info import TaskInfo
from bench.reporting.render import document
from bench.reporting.render.document import Float, Section, written
from bench.reporting.render.table import Column, Entry, Table, Value, csv
from bench.reporting.render.text import listed, signed
from bench.reporting.task_results import TaskResults
from bench.reporting.words.notes import REASONS, SIGN, SIGNS, spread


def files(results: TaskResults) -> dict[str, str]:
    """Return the table by suffix; nothing without further attributes."""
    found, info = results.measured, results.info
    if not found:
        return {}
    title = f"what mitigating {display_name(info.attribute_name)} did to other attributes"
    warning = warning_of(info)
    tables, notes = _tables(found, info), reading(found, results)
    section = Section(f"{info.name}: {title}", [*tables, Section("How to read this", [notes])], warning)
    table = Float(f"{title[:1].upper()}{title[1:]}.", f"{info.name}-attributes", tables, notes, warning)
    return {
        **written(section),
        "tex": document.latex([table], plain="plain" in info.latex),
        "csv": csv(frame(found, info)),
    }


def backbones(found: Sequence[Measured]) -> list[str]:
    """Return the backbones of all lines, sorted."""
    return sorted({line.backbone for one in found for line in one.lines})


def _tables(found: Sequence[Measured], info: TaskInfo) -> list[Table]:
    tables, networks = [], backbones(found)
    for name in dict.fromkeys(one.set for one in found):
        here = [one for one in found if one.set == name and not one.why]
        for backbone in networks:
            lines = [{line.spec: line for line in one.lines if line.backbone == backbone} for one in here]
            specs = {spec: line for known in lines for spec, line in known.items()}
            columns = [Column("method", "left")]
            for one in here:
                columns += [Column(info.heading(info.gap), "centre", group=one.attribute)]
                columns += [Column("change", "right", signed=True, group=one.attribute)]
                columns += [Column("95 % interval", "centre", group=one.attribute)]
            body = [
                [line.label + NEEDS * line.needs_attribute, *(v for known in lines for v in _values(known.get(spec)))]
                for spec, line in specs.items()
            ]
            where = f"{name}, {display_name(backbone)} backbone" if len(networks) > 1 else name
            tables += [Table(columns, body, where)] if body else []
    return tables


def _values(line: Line | None) -> list[Value]:
    if line is None:
        return [None, None, None]
    known = line.ci_low is not None and line.ci_high is not None
    between = f"{signed(line.ci_low or 0.0, 3)} to {signed(line.ci_high or 0.0, 3)}" if known else None
    sign = SUPPORTED * line.supported + SIGN * line.levelled_down
    numbers = [float("nan") if value is None else value for value in (line.mean, line.std, line.difference)]
    gap = Entry(numbers[0], numbers[1], sign=SIGNS.get(line.why, ""))  # type: ignore[call-overload]
    return [gap, Entry(numbers[2], sign=sign), between]


def reading(found: Sequence[Measured], results: TaskResults) -> list[str]:
    """Return how to read the table: what was asked, which groups are compared, and what is not shown and why."""
    info = results.info
    primary = [one.attribute for one in found if one.primary and one.kind == "measured"]
    claims = f"Of the gaps of {listed(dict.fromkeys(primary))} this holds too. " if primary else ""
    used = {line.why for one in found for line in one.lines}
    notes = [
        f"Methods mitigate {display_name(info.attribute_name)} and nothing else: no model was trained for this table.",
        f"{info.title(info.gap)}: {spread(results.results)} Change: difference to Baseline; 95 % intervals over "
        f"{info.unit}, from the same bootstrap samples as in the main table.",
        f"Gaps of {display_name(info.attribute_name)} belong to the claims of the task ({SUPPORTED}: supported). "
        f"{claims}All others are exploratory: their intervals are not adjusted for the number of attributes.",
        f"{SIGN} Levelled down: a smaller gap, because a group lost and none gained.",
        *(f"{SIGNS[why]} Not compared: {says}." for why, says in REASONS.items() if why in used),
    ]
    for name, same in _by_attribute(found).items():
        notes.append(f"{name}: {'; '.join(_groups(one) for one in same)}.")
    if lacking := [name for name in results.task.also if name not in {one.attribute for one in found}]:
        notes.append(f"Not known for these images: {listed(lacking)}. `bench run` reads them where the images are.")
    return notes


def _by_attribute(found: Sequence[Measured]) -> dict[str, list[Measured]]:
    names = dict.fromkeys(one.attribute for one in found)
    return {name: [one for one in found if one.attribute == name] for name in names}


def _groups(one: Measured) -> str:
    if one.why == "suppressed":
        return f"on {one.set} suppressed, because of few images of a group and class"
    if one.why.startswith("not known"):
        return f"on {one.set} {one.why}"
    left_out = f", without {listed(one.left_out)} (fewer than {LEAST} images of a class)" if one.left_out else ""
    unknown = f"; not known of {one.unknown} images" if one.unknown else ""
    if one.why:
        return f"on {one.set} not compared: {one.why}{left_out}{unknown}"
    return f"on {one.set} {listed(one.groups)}{left_out}{unknown}"
