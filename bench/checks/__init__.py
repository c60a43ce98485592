"""Conformance: what every method must keep, checked on a small random data set. `bench check NAME` runs it.

Each check is a function of a `Subject` that returns nothing, raises `Broken` with what is wrong and what to do, or
`NotApplicable` where there is nothing to look at. Tests of plugins may run `CHECKS` themselves. Every fault is the
finding of one check: a method that cannot be fitted fails the check that is about fits and leaves the others without
a model to look at.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.checks.declared import check_declaration, check_docstring, check_grids, check_refusals, check_spec
from bench.checks.fit_checks import (
    check_baseline,
    check_data,
    check_leaks,
    check_logits,
    check_random_state,
    check_rare_groups,
    check_repeats,
    check_scores,
    check_splits,
    check_state,
)
from bench.checks.option_checks import check_changes, check_choices, check_parameters, check_presets, check_pruned
from bench.checks.subject import (
    RECIPE,
    Broken,
    NotApplicable,
    Subject,
    fitted,
    logits,
    random_net,
    random_run,
    random_split,
    trained_net,
)
from bench.errors import BenchError
from bench.run.plan import method_specs

__all__ = [
    "CHECKS",
    "RECIPE",
    "Broken",
    "NotApplicable",
    "Subject",
    "check_methods",
    "fitted",
    "logits",
    "outcome",
    "random_net",
    "random_run",
    "random_split",
    "run_check",
    "trained_net",
]

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = (
    check_docstring,
    check_declaration,
    check_spec,
    check_grids,
    check_refusals,
    check_splits,
    check_logits,
    check_scores,
    check_repeats,
    check_leaks,
    check_random_state,
    check_baseline,
    check_data,
    check_changes,
    check_choices,
    check_presets,
    check_parameters,
    check_pruned,
    check_rare_groups,
    check_state,
)


def check_methods(names: Sequence[str], plugins: tuple[Path, ...] = ()) -> int:
    """Run all checks on methods, print a line for each, and return the exit code."""
    torch.set_num_threads(1)
    failed = 0
    for spec in method_specs(",".join(names), plugins):
        for check in CHECKS:
            verdict, why = outcome(check, Subject(spec, plugins))
            failed += verdict == "FAIL"
            says = (check.__doc__ or "").splitlines()[0]
            print(f"{verdict:<4}  {spec:<12}  {says}{f' ({why})' if verdict == 'none' else ''}", flush=True)
            if verdict == "FAIL":
                print(f"      {why}", flush=True)
    if failed:
        print(f"{failed} checks failed", file=sys.stderr)
    return 1 if failed else 0


def run_check(check: Check, subject: Subject) -> str | None:
    """Return what is wrong, or None."""
    verdict, why = outcome(check, subject)
    return why if verdict == "FAIL" else None


def outcome(check: Check, subject: Subject) -> tuple[str, str]:
    """Return ("ok", ""), ("none", why it does not apply) or ("FAIL", what is wrong and what to do)."""
    try:
        check(subject)
    except NotApplicable as error:
        return "none", str(error)
    except Broken as error:
        return "FAIL", str(error)
    except BenchError as error:
        return "FAIL", f"{type(error).__name__}: {error}"
    except Exception as error:  # a plugin may raise anything, also where it only declares
        return "FAIL", f"{type(error).__name__}: {error}"
    return "ok", ""
