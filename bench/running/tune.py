"""`bench tune`: choose parameters on a holdout of each fold, then run the methods with them.

Every method gets the same number of trials. A trial is a cell without test sets: it is fitted on the rest of the
validation part and scored on the holdout (`bench.data.external`). The objective picks one of them, which computes
nothing again. The choice runs as the method `<spec>@tuned`, on the usual sets.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import taskfile
from bench.api import Method
from bench.cells import store
from bench.cells.identity import BASELINE, Cell, cell_file, tuning_results
from bench.cells.record import Choice, Facts, Record
from bench.data.external import HOLDOUT
from bench.errors import UnknownName, UsageError
from bench.files import write_json
from bench.options import is_read
from bench.running import launchers
from bench.running.objective import choose, scores_of
from bench.running.plan import MANY, build_method, choice_file, choice_identity, completed, method_specs, within
from bench.running.run_cells import compute, compute_and_tell
from bench.running.run_task import plan_run
from bench.seeds import seed_of
from bench.settings import Settings
from bench.spec import TUNED, describe, is_tuned, parse, split_specs, tuned, untuned


def candidates(spec: str, most: int, plugins: Sequence[Path] = ()) -> list[str]:
    """Return the specs to try, at most `most`: the given one, then the combinations of the method's `search`.

    Parameters that the spec sets stay fixed, and one that it needs may be left open, such as the rate of
    `swift:mask=hard`. If there are more combinations than trials, a sample is drawn by hashing
    their names: the same for every fold, a superset when `most` grows, in the order of the grid.

    Raises:
        UnknownName, UsageError: the method lacks a parameter of its `search`, or the parameter does not take a value.
    """
    first, given = completed(spec, plugins)[0], parse(spec)
    method = build_method(first, plugins)
    fields = {field.name: field for field in dataclasses.fields(method)}
    for parameter in method.search:
        if parameter not in fields:
            raise UnknownName("parameter", parameter, fields, where=f" in the search of {given.name}")
    grid = {parameter: values for parameter, values in method.search.items() if parameter not in given.options}
    combinations = (dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values()))
    specs = [describe(given.name, _setting(method, combination)) for combination in combinations]
    others = [one for one in dict.fromkeys(specs) if one != first]
    sample = sorted(others, key=lambda one: seed_of("search", one))[: most - 1]
    return [first, *(one for one in others if one in sample)]


def _setting(method: Method, combination: Mapping[str, Any]) -> Method:
    """Return the method with a combination of the grid, without parameters that the combination makes irrelevant."""
    values = {**dataclasses.asdict(method), **combination}
    read = {
        field.name: combination[field.name]
        for field in dataclasses.fields(method)
        if field.name in combination and is_read(field, values)
    }
    return dataclasses.replace(method, **read)


def print_tune(settings: Settings, *, trials: int, objective: str) -> int:
    """Run the trials, store and print the choices, run the methods with them; return the exit code.

    Raises:
        UsageError: an invalid request, before anything is computed.
        DataError: missing images; those of test sets are looked for after the choices are stored.
    """
    task = taskfile.resolve(settings.task)
    named = split_specs(settings.methods)
    every_tuned = ",".join(spec if spec in MANY or is_tuned(spec) else tuned(spec) for spec in named)
    asked = method_specs(every_tuned, settings.plugins, task, companions=False)
    specs = [spec for spec in map(untuned, asked) if spec != BASELINE]
    if not specs or any(map(is_tuned, named)):
        raise UsageError(
            f"--methods {settings.methods}: name methods besides baseline, without {TUNED}, such as swift, or all"
        )
    settings = launchers.chosen(settings).accept(settings)
    tries = {spec: candidates(spec, trials, settings.plugins) for spec in specs}
    print(f"selection by '{objective}', at most {trials} trials per method and fold", file=sys.stderr)
    every = ",".join(within(one, task.preset, settings.plugins) for some in tries.values() for one in some)
    # The trials have no test sets, and a separate folder that no report reads.
    separate = tuning_results(settings.results)
    trial_run = dataclasses.replace(settings, methods=every, results=separate, selecting=True)
    outcome = compute([trial_run])
    lacking = _choose_all(trial_run, tries, settings, objective)
    code = outcome.tell()
    for line in lacking:
        print(f"not chosen: {line}", file=sys.stderr)
    chosen = [within(tuned(spec), task.preset, settings.plugins) for spec in specs]
    final = dataclasses.replace(settings, methods=",".join(chosen))
    return max(code, 1 if lacking else 0, compute_and_tell([final]))


def _choose_all(
    trial_run: Settings, tries: Mapping[str, Sequence[str]], settings: Settings, objective: str
) -> list[str]:
    """Store and print the choice of every method, fold and seed; return a line for each that has none."""
    data, planned = plan_run(trial_run)
    done = {p.cell: _trial(p.cell, p.hash, trial_run) for p in planned}
    lacking, defined = [], {cell.spec for cell in done}
    for spec, tried in tries.items():
        if spec not in defined:
            continue  # the plan leaves out methods that are not defined for the groups of the task
        chosen = []
        for base in [cell for cell in done if cell.spec == BASELINE]:
            cell = dataclasses.replace(base, spec=tuned(spec))
            records = {one: done[dataclasses.replace(base, spec=one)] for one in tried}
            choice = make_choice(records, done[base], objective)
            if isinstance(choice, str):
                choice_file(settings, cell).unlink(missing_ok=True)
                lacking.append(f"{spec}, fold {cell.fold}, seed {cell.seed}: {choice}")
                continue
            choice = msgspec.structs.replace(choice, identity=choice_identity(cell, data, settings.plugins))
            write_json(choice_file(settings, cell), choice)
            chosen.append((cell, choice))
        _print_choices(spec, chosen)
    return lacking


def _trial(cell: Cell, expected: str, settings: Settings) -> Record | None:
    """Return the record of a trial; None if it failed or could not run."""
    done = expected and store.state(settings.results, cell, expected) == "done"
    return store.read_cell(cell_file(settings.results, cell)) if done else None


def make_choice(trials: Mapping[str, Record | None], baseline: Record | None, objective: str) -> Choice | str:
    """Return the choice among the records of trials by spec (None: failed), or why there is none.

    `undefined` counts the settings with an undefined score on the holdout, `failed` those without a record. Neither
    can be chosen.
    """
    if baseline is None:
        return "there is no baseline to compare with"
    found = {spec: record for spec, record in trials.items() if record is not None}
    scores = {spec: scores_of(record.scores[HOLDOUT]) for spec, record in found.items()}
    reference = scores_of(baseline.scores[HOLDOUT])
    at = choose(objective, list(scores.values()), reference)
    if at is None:
        return f"no setting of {len(trials)} has a defined AUC and EOdds on the holdout ({len(found)} could be fitted)"
    return Choice(
        objective=objective,
        chosen=list(scores)[at],
        trials=len(trials),
        failed=len(trials) - len(found),
        undefined=sum(not one.defined for one in scores.values()),
        images_forward=sum(record.cost.images_forward or 0 for record in found.values()),
        images_backward=sum(record.cost.images_backward or 0 for record in found.values()),
        holdout=baseline.data[HOLDOUT],
        baseline=Facts(dataclasses.asdict(reference)),
        scores={spec: Facts(dataclasses.asdict(one)) for spec, one in scores.items()},
    )


def _print_choices(spec: str, chosen: Sequence[tuple[Cell, Choice]]) -> None:
    counted = ("trials", "images_forward", "images_backward", "failed", "undefined")
    counts = {name: sum(getattr(choice, name) for _, choice in chosen) for name in counted}
    excluded = ", ".join(f"{counts[name]} {name}" for name in ("failed", "undefined") if counts[name])
    print(
        f"{spec}: {counts['trials']} trials, {counts['images_forward']} images forward, "
        f"{counts['images_backward']} backward{'; never chosen: ' + excluded if excluded else ''}"
    )
    for cell, choice in chosen:
        best, base = choice.scores[choice.chosen], choice.baseline
        print(
            f"  fold {cell.fold}, seed {cell.seed}: {choice.chosen}  "
            f"EOdds {best['eodds']:.3f} (baseline {base['eodds']:.3f}), "
            f"AUC {best['auc']:.3f} (baseline {base['auc']:.3f}) "
            f"on {choice.holdout.n} images held out"
        )
