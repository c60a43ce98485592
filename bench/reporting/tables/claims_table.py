"""The paper's claims, one by one: a summary of each, and what was found at each place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from statistics import median

from bench.cells.record import Record
from bench.reporting.numbers import claims
from bench.reporting.numbers.aggregate import BASELINE, COST, IN_DOMAIN, Results, cost, warning_of
from bench.reporting.numbers.claim_intervals import Drawn, drawn
from bench.reporting.numbers.claim_tests import Claim, Place
from bench.reporting.numbers.claims import NOT_RUN, VERDICTS, Finding
from bench.reporting.numbers.grouping import grouped, over_seeds
from bench.reporting.numbers.paper_layout import ITSELF, Block, blocks, layouts
from bench.reporting.numbers.patient_intervals import judged
from bench.reporting.numbers.published import PAPER
from bench.reporting.numbers.ranking import Row
from bench.reporting.numbers.redraws import Bootstrapped, Spec, bootstrap_patients, spec_of
from bench.reporting.render import document, table
from bench.reporting.render.document import Float, Section
from bench.reporting.render.table import Column, Table, Value
from bench.reporting.render.text import listed, signed
from bench.reporting.task_results import TaskResults
from bench.running.ablate import EXTERNAL, TIMES
from bench.running.plan import within
from bench.scoring.definitions import METRICS
from bench.scoring.statistics import LEVEL, summary
from bench.spec import name_of

CLAIMED = "claims"
"""Name of the files."""
METHOD = "swift"
TITLES = {COST: "images passed", "seconds": "seconds", "cost_share": "cost", "external_share": "images", "mask": "mask"}
PAGE = 40
"""Rows of a table in LaTeX, so that it fits on a page."""
Found = Mapping[tuple[Claim, str], Sequence[Finding]]
"""By claim and metric."""
Rows = dict[tuple[str, str, str, str], Row]
"""By backbone, set, metric and name."""
Sets = dict[tuple[str, str], Drawn]
"""By backbone and set."""
CSV = ["metric", "task", "backbone", "set", "verdict", "estimate", "low", "high", "over", "n"]
CSV += ["relative", "paper", "why"]
"""Fields of a finding, after the claim and its section."""


def make(needed: Mapping[str, Sequence[Block]], results: TaskResults) -> dict[str, str]:
    """Return the files by suffix; `needed` are the blocks of each table and figure of the paper, by its name."""
    tasks = {block.task: results.other(block.task) for made in needed.values() for block in made}
    read = {task: _read(one) if one.cells else ({}, {}) for task, one in tasks.items()}
    synthetic = any(one.info.synthetic for one in tasks.values())
    found: dict[tuple[Claim, str], list[Finding]] = {}
    for claim in claims.CLAIMS:
        made = dict.fromkeys(block for name in claim.needs for block in needed.get(name, ()))
        places = [place for block in made for place in _places(block, tasks[block.task], *read[block.task])]
        items = claims.findings(claim, places)
        found |= grouped(((claim, one.metric), one if synthetic else _beside(one)) for one in items)
    every = [item for items in found.values() for item in items]
    warning, notes = warning_of(*(one.info for one in tasks.values())), [*_notes(every), *_shared(tasks.values())]
    says = f"Statements of {PAPER}, in our words, and whether our numbers bear them out."
    shown = {claim.key: claim for claim, _ in found}.values()
    sources = [f"{one.key}: section {one.section}. {f'Its text: {one.prose}.' if one.prose else ''}" for one in shown]
    reading = [Section("How to read this", [notes]), Section("Where the paper says it", [sources])]
    body = [says, _summary(found, synthetic), Section("Place by place", [_details(every)]), *reading]
    floats = [Float(says, f"claims-{place}", [part], (), warning) for place, part in enumerate(_counts(found))]
    return {
        **document.written(Section("The paper's claims, one by one", body, warning)),
        "csv": _csv(every, synthetic),
        "tex": document.latex([*floats, *(f"{claim.key}: {claim.says}." for claim in shown), *notes]),
    }


def _read(one: TaskResults) -> tuple[Rows, Sets]:
    """Return the rows of all tables of a task, of its variants in epochs and images, of costs and masks; their draws.

    Variants have the test images of the task, and are scored on the same bootstrap samples.
    """
    found: Rows = {}
    for part in one.tables:
        if part.cells:
            _add(found, one, judged(one.results_of(part), one.bootstrapped))
    names = {spec_of(item): within(item.cell.spec, one.task.preset, tuple(one.settings.plugins)) for item in one.cells}
    sets = _sets(one, one.bootstrapped, names)
    varied = [("epochs", factor, int(factor * one.task.recipe.epochs)) for factor in TIMES]
    varied += [("external", share, share) for share in EXTERNAL]
    for field, factor, value in varied:
        variant = one.variant(field, value) if factor != 1 else None
        if variant is None or not variant.tables[0].cells:
            continue
        alias, cells = f"{field}*{factor:g}", _of_method(variant)
        redrawn = bootstrap_patients(cells, one.info, variant.scored)
        _add(found, variant, judged(variant.results, redrawn), alias)
        paired = {
            name: part
            for name, part in redrawn.sets.items()
            if name in one.bootstrapped.sets and part.same_images(one.bootstrapped.sets[name])
        }
        more = _sets(one, Bootstrapped(paired), dict.fromkeys(map(spec_of, cells), alias))
        sets |= {
            at: replace(sets[at], models={**sets[at].models, **part.models}) for at, part in more.items() if at in sets
        }
    return found, sets


def _of_method(one: TaskResults) -> list[Record]:
    """Return the cells of `METHOD` as the preset of a task makes it."""
    return [item for item in one.cells if within(item.cell.spec, one.task.preset) == METHOD]


def _sets(one: TaskResults, redrawn: Bootstrapped, names: Mapping[Spec, str]) -> Sets:
    return {
        (backbone, name): drawn(part, backbone, names, one.info.unit if part.patients < part.images else "images")
        for name, part in redrawn.sets.items()
        for backbone in {backbone for backbone, _ in part.every}
    }


def _add(found: Rows, one: TaskResults, results: Results, alias: str = "") -> None:
    """Add rows under their specs relative to the preset; of a variant, those of `METHOD` under its `alias`."""
    for row in results.rows:
        name = within(row.spec, one.task.preset, tuple(one.settings.plugins))
        if not alias or name == METHOD:
            found.setdefault((row.backbone, row.set, row.metric, alias or name), row)
    hidden = IN_DOMAIN in results.suppressed
    for (backbone, metric, name), pairs in grouped(_measured(one, _of_method(one), alias)).items():
        by_fold = over_seeds(pairs)
        mean, std, n = summary(list(by_fold.values()))
        row = Row(backbone, METHOD, name, name, 0, "", metric, by_fold, mean, std, n)
        gone = hidden and metric.endswith("_share")
        found.setdefault((backbone, "", metric, name), replace(row, excluded="suppressed") if gone else row)


def _measured(
    one: TaskResults, cells: Sequence[Record], alias: str
) -> Iterator[tuple[tuple[str, str, str], tuple[int, float]]]:
    """Yield backbone, metric and name with fold and value: seconds, shares of what training took, masks by block."""
    trained = {
        (item.cell.backbone, item.cell.fold, item.cell.seed): _pretraining(item, one)
        for item in one.cells
        if item.cell.spec == BASELINE
    }
    for item in cells:
        cell, name = item.cell, alias or METHOD
        yield (cell.backbone, "seconds", name), (cell.fold, item.cost.seconds)
        if alias:
            continue
        images = trained.get((cell.backbone, cell.fold, cell.seed)) or nan
        train = item.data["train"].n if "train" in item.data else None
        yield (cell.backbone, "cost_share", name), (cell.fold, cost(item) * item.external / images)
        yield (cell.backbone, "external_share", name), (cell.fold, item.external / (train or nan))
        for key, strip in (one.pictures(item) or {}).items():
            if key.startswith("strip/mask/"):
                yield (cell.backbone, "mask", key.rpartition("/")[2]), (cell.fold, float(strip.mean()))


def _pretraining(item: Record, one: TaskResults) -> float:
    """Return the images of pre-training in the cell of a baseline; from its size where the cell does not hold them."""
    train = item.data["train"].n if "train" in item.data and "given_baseline" not in item.log else None
    return item.cost.pretraining_images or (one.task.recipe.pretrain_epochs * train if train else nan)


def _places(block: Block, one: TaskResults, rows: Rows, sets: Sets) -> list[Place]:
    network = block.backbone or one.task.backbones[0]
    places = grouped(((backbone, at), ((metric, name), row)) for (backbone, at, metric, name), row in rows.items())
    return [
        Place(
            one.info.name,
            network,
            name,
            dict(places.get((network, name), ())),
            one.task.folds,
            sets.get((network, name)),
        )
        for name in ("", *one.info.ood[: block.sets])
    ]


def _beside(item: Finding) -> Finding:
    """Add the paper's own number of the same place, which is never beside synthetic data."""
    numbers = claims.theirs(item.claim, [(name_of(item.task), item.backbone)] if item.set else [])
    same = [one.estimate for one in numbers if (one.set, one.metric) == (item.set, item.metric)]
    return replace(item, paper=same[0]) if same else item


def _summary(found: Found, synthetic: bool) -> Table:
    titles = ("claim", "what it says", "metric", "the paper's tables", "ours (synthetic)" if synthetic else "ours")
    rows = [[one.key, one.says, _title(name), _paper(one, name), _verdict(part)] for (one, name), part in found.items()]
    return Table([Column(title, "left") for title in titles], rows)


def _counts(found: Found) -> list[Table]:
    """Return how many findings of each claim have each verdict, as tables that are not larger than a page."""
    columns = [*(Column(title, "left") for title in ("claim", "metric")), *map(Column, VERDICTS)]
    rows = [
        [claim.key, _title(metric), *(sum(item.verdict == verdict for item in part) for verdict in VERDICTS)]
        for (claim, metric), part in found.items()
    ]
    return [Table(columns, rows[start : start + PAGE]) for start in range(0, len(rows), PAGE)]


def _paper(claim: Claim, metric: str) -> str:
    """Return how often the paper's own estimates, which have no interval, are as it claims, and their median."""
    made = [block for layout in layouts() if layout.name in claim.needs for block in blocks(layout, ITSELF)]
    numbers = claims.theirs(claim, [(block.task, block.backbone) for block in made])
    numbers = [item for item in numbers if item.metric == metric]
    return (
        f"as claimed in {sum(map(claims.as_claimed, numbers))} of {len(numbers)}{_median(numbers)}" if numbers else ""
    )


def _verdict(items: Sequence[Finding]) -> str:
    counts = Counter(item.verdict for item in items)
    said = [f"{verdict} in {counts[verdict]}" for verdict in VERDICTS if counts[verdict]]
    return (f"{', '.join(said)} of {len(items)}" if len(items) > 1 else items[0].verdict) + _median(items)


def _median(items: Iterable[Finding]) -> str:
    items = [item for item in items if isfinite(item.estimate)]
    shares = [100 * item.relative for item in items if isfinite(item.relative)]
    share = f" ({signed(median(shares), 0)} %)" if shares else ""
    return f", median {signed(median(item.estimate for item in items), 3)}{share}" if items else ""


def _details(every: Iterable[Finding]) -> Table:
    columns = [*(Column(name, "left") for name in ("claim", "metric", "place", "verdict")), Column("ours", signed=True)]
    columns += [
        Column("interval"),
        Column("over", "left"),
        Column("in %"),
        Column("the paper", signed=True),
        Column("folds", decimals=0),
    ]
    rows: list[list[Value]] = []
    for item in (one for one in every if one.verdict != NOT_RUN):
        place = ", ".join(filter(None, (item.task, item.backbone, item.set))) or "all together"
        verdict = f"{item.verdict} ({item.why})" if item.why else item.verdict
        ends = f"{signed(item.low, 3)} to {signed(item.high, 3)}" if isfinite(item.low) else None
        shares = [signed(100 * end / (item.reference or nan), 0) for end in (item.estimate, item.low, item.high)]
        share = f"{shares[0]} ({shares[1]} to {shares[2]})" if ends and isfinite(item.relative) else None
        values = [item.estimate, ends, item.over if ends else None, share, item.paper, item.n]
        rows.append([item.claim.key, _title(item.metric), place, verdict, *values])
    return Table(columns, rows)


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else TITLES[metric]


def _notes(every: Sequence[Finding]) -> list[str]:
    tested = sum(isfinite(item.low) and not isfinite(item.claim.limit) for item in every)
    keys = grouped((item.claim.test, item.claim.key) for item in every)
    return [
        *claims.NOTES,
        f"Nothing is adjusted for the number of claims: of {tested} intervals about {LEVEL * tested:.0f} would leave "
        "out the truth by chance.",
        *(f"{', '.join(dict.fromkeys(names))}: {claims.RULES[test]}." for test, names in keys.items()),
    ]


def _shared(tasks: Iterable[TaskResults]) -> list[str]:
    """Return the sentence on tasks whose baselines are the same weights, which are trained once."""
    users = grouped((item.baseline_sha256, one.info.name) for one in tasks for item in one.cells)
    groups = dict.fromkeys(tuple(dict.fromkeys(names)) for sha, names in users.items() if sha)
    said = "; ".join(listed(names) for names in groups if len(names) > 1)
    return [f"Pre-training is counted whole for each task, although these share it: {said}."] if said else []


def _csv(every: Iterable[Finding], synthetic: bool) -> str:
    titles = ["folds" if name == "n" else name for name in CSV]
    rows = [(one.claim.key, one.claim.section, *(getattr(one, name) for name in CSV), synthetic) for one in every]
    return table.csv(rows, ["claim", "section", *titles, "synthetic"])
