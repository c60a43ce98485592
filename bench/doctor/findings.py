"""Findings: a code, a level, the text of what was found, and advice."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bench.settings import Settings, command

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
CHECKS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("checks.toml").read_text(encoding="utf-8"))
"""Code -> `says`, the property that is checked, and `do`, the advice where it does not hold; `own`: for own tables."""
OWN = "manifest"
"""The dataset of a person's own table."""


@dataclass(frozen=True)
class Finding:
    """One finding; `ids` are up to three of its images or patients, which `--json` prints as salted hashes."""

    code: str
    level: Level
    where: str
    """Name of the dataset, set or task."""
    text: str
    ids: tuple[str, ...] = ()


def advice(code: str, settings: Settings, dataset: str) -> str:
    """Return what to do about a finding; the commands in it are complete for these settings."""
    folder, check = Path("DIR"), CHECKS[code]
    return check["own" if dataset == OWN and "own" in check else "do"].format(
        datasets=command("ls", settings, "datasets", dataset),
        doctor_data=command("doctor", replace(settings, data=folder)),
        doctor_cache=command("doctor", replace(settings, cache=folder)),
    )
