"""Conformance: the rules that every method must follow, checked on a small random data set by `bench check NAME`.

Each check is a function of a `Subject`. It returns nothing if the method passes. It raises `Broken`, whose message says
what is wrong and how to mend it, or `NotApplicable` if there is nothing to check. Tests of plugins may run `CHECKS`
themselves. Each fault is reported by one check only: a method that cannot be fitted fails the check of the fit, and the
other checks do not apply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.checks import declared, fit_checks, option_checks
from bench.checks.subject import Broken, NotApplicable, Subject
from bench.run.plan import method_specs

Check = Callable[[Subject], None]

CHECKS: tuple[Check, ...] = tuple(
    value
    for module in (declared, fit_checks, option_checks)
    for name, value in vars(module).items()
    if name.startswith("check_")
)
"""Every function of these modules whose name begins with `check_`, in the order of the files."""


def check_methods(names: Sequence[str], plugins: tuple[Path, ...] = ()) -> int:
    """Run all checks on methods, print one line for each, and return the exit code: 1 if a check failed."""
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
    """Return what is wrong with a method, or None if it passes or the check does not apply."""
    verdict, why = outcome(check, subject)
    return why if verdict == "FAIL" else None


def outcome(check: Check, subject: Subject) -> tuple[str, str]:
    """Return ("ok", ""), ("none", why the check does not apply) or ("FAIL", what is wrong and how to mend it)."""
    try:
        check(subject)
    except NotApplicable as error:
        return "none", str(error)
    except Broken as error:
        return "FAIL", str(error)
    except Exception as error:  # a plugin may raise anything, even when its declarations are read
        return "FAIL", f"{type(error).__name__}: {error}"
    return "ok", ""
