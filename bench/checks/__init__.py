"""Conformance: the rules that every method must follow, checked on a small random data set by `bench check NAME`.

Each check is a function of a `Subject`. It returns nothing, or raises `Broken` with what is wrong and what to do, or
`NotApplicable` where there is nothing to check. Tests of plugins may run `CHECKS` themselves. Each fault is reported by
one check only: a method that cannot be fitted fails the check of the fit, and the other checks do not apply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.checks import declared, fit_checks, option_checks
from bench.checks.subject import RECIPE as RECIPE
from bench.checks.subject import Broken, NotApplicable, Subject
from bench.checks.subject import fitted as fitted
from bench.checks.subject import logits as logits
from bench.checks.subject import random_net as random_net
from bench.checks.subject import random_run as random_run
from bench.checks.subject import random_split as random_split
from bench.checks.subject import trained_net as trained_net
from bench.run.plan import method_specs

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = (
    declared.check_docstring,
    declared.check_declaration,
    declared.check_spec,
    declared.check_grids,
    declared.check_refusals,
    fit_checks.check_splits,
    fit_checks.check_logits,
    fit_checks.check_scores,
    fit_checks.check_repeats,
    fit_checks.check_leaks,
    fit_checks.check_random_state,
    fit_checks.check_baseline,
    fit_checks.check_data,
    option_checks.check_changes,
    option_checks.check_choices,
    option_checks.check_presets,
    option_checks.check_parameters,
    option_checks.check_pruned,
    fit_checks.check_rare_groups,
    fit_checks.check_state,
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
    except Exception as error:  # a plugin may raise anything, even where it only declares
        return "FAIL", f"{type(error).__name__}: {error}"
    return "ok", ""
