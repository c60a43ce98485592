"""Conformance: the rules that methods and backbones must follow, checked on random images by `bench check NAME`.

Each check is a function of a `Subject`, a method, or of a `Network`. It returns nothing if the plugin passes. It raises
`Broken`, whose message says what is wrong and how to mend it, or `NotApplicable` if there is nothing to check. Tests of
plugins may run `CHECKS` or `BACKBONE_CHECKS` themselves. Each fault is reported by one check only: a method that cannot
be fitted fails the check of the fit, and the other checks do not apply.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from bench import registry
from bench.checks import backbone_checks, declared, fit_checks, option_checks
from bench.checks.backbone_checks import Network
from bench.checks.subject import Broken, NotApplicable, Subject
from bench.errors import UnknownName
from bench.running.plan import MANY, method_specs
from bench.spec import canonical, name_of, split_specs

Check = Callable[[Any], None]


def _checks(*modules: ModuleType) -> tuple[Check, ...]:
    return tuple(value for module in modules for name, value in vars(module).items() if name.startswith("check_"))


CHECKS = _checks(declared, fit_checks, option_checks)
"""Every function of these modules whose name begins with `check_`, in the order of the files: those of methods."""
BACKBONE_CHECKS = _checks(backbone_checks)
"""The same of backbones."""


def check_plugins(names: Sequence[str], plugins: tuple[Path, ...] = ()) -> int:
    """Run all checks on methods and backbones, print a line for each, and return the exit code: 1 if one failed.

    Raises:
        UnknownName, UsageError: a name is neither a method nor a backbone, or an option is not allowed.
    """
    torch.set_num_threads(1)
    failed = 0
    for spec, subject, checks in _subjects(names, plugins):
        for check in checks:
            verdict, why = outcome(check, subject)
            failed += verdict == "FAIL"
            says = (check.__doc__ or "").splitlines()[0]
            print(f"{verdict:<4}  {spec:<12}  {says}{f' ({why})' if verdict == 'none' else ''}", flush=True)
            if verdict == "FAIL":
                print(f"      {why}", flush=True)
    if failed:
        print(f"{failed} checks failed", file=sys.stderr)
    return 1 if failed else 0


def _subjects(
    names: Sequence[str], plugins: tuple[Path, ...]
) -> Iterator[tuple[str, Subject | Network, tuple[Check, ...]]]:
    """Yield each plugin with its spec and its checks."""
    methods, known = registry.METHODS.catalogue(plugins), registry.BACKBONES.catalogue(plugins)
    for spec in split_specs(",".join(names)):
        name = canonical(name_of(spec))
        if name in known:
            registry.backbone(spec, "none", plugins)
            yield spec, Network(spec, plugins), BACKBONE_CHECKS
        elif name in methods or name in MANY:
            for one in method_specs(spec, plugins):
                yield one, Subject(one, plugins), CHECKS
        else:
            raise UnknownName("method or backbone", spec, [*methods, *known])


def run_check(check: Check, subject: Subject | Network) -> str | None:
    """Return what is wrong with a method, or None if it passes or the check does not apply."""
    verdict, why = outcome(check, subject)
    return why if verdict == "FAIL" else None


def outcome(check: Check, subject: Subject | Network) -> tuple[str, str]:
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
