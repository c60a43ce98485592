"""Profiles: what jobs ask of a cluster, in the keys of submitit (`slurm/*.toml`)."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import bench
from bench.errors import DataMissing, UnknownName, UsageError

Part = Literal["baseline", "method"]
PARTS: tuple[Part, ...] = ("baseline", "method")
CAP = "longest_time"
OURS = ("command", "folder", "job_name", "dependency", "map_count", "num_gpus", "comment")
"""Parameters of submitit that the suite sets, or that are deprecated there."""
PARALLELISM = 16
"""Tasks of an array that run at the same time, where the profile does not say."""
LONGER, LONGEST = 1.5, 4.0
"""Factors of the time limit for a cell that was over it: each time, and all together where the profile has no cap."""


@dataclass(frozen=True)
class Profile:
    """A cluster: `keys[part]` are submitit's parameters for the jobs of baselines and of methods.

    `longest_time` is the limit in minutes up to which jobs that were over theirs get more.
    """

    name: str
    keys: dict[str, dict[str, Any]]
    longest_time: int | None = None

    def minutes(self, part: Part) -> int:
        """Return the time limit of a job."""
        return int(self.keys[part].get("time", 60))

    def minutes_after(self, part: Part, over: int) -> int:
        """Return the time limit of a job whose cell was so many times over it."""
        usual = self.minutes(part)
        longest = self.longest_time or LONGEST * usual
        return round(max(usual, min(usual * LONGER**over, longest)))

    def gpus(self, part: Part) -> int:
        """Return the GPUs of a job."""
        return int(self.keys[part].get("gpus_per_node", 0) or 0)


def profile(name: str) -> Profile:
    """Return the profile of a name in `slurm/`, or of a path that ends in .toml.

    Raises:
        UnknownName: no such profile, or a key that submitit does not have.
        UsageError: a file that is not TOML, or a `longest_time` that is no number of minutes.
    """
    file = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not file.is_file():
        if name.endswith(".toml"):
            raise DataMissing(f"profile {file}", get_it=f"Profiles are names ({', '.join(profiles())}) or TOML files.")
        raise UnknownName("profile", name, profiles(), where=f" in {FOLDER} (or give the path of a .toml file)")
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    longest = given.pop(CAP, None)
    if longest is not None and (type(longest) is not int or longest < 1):
        raise UsageError(f"{CAP} = {longest!r} in {file}: a whole number of minutes from 1")
    for part, keys in given.items():
        if part not in PARTS or not isinstance(keys, dict):
            raise UnknownName("table", part, (*PARTS, CAP), where=f" in {file}")
        for key in keys:
            if key not in valid_keys():
                raise UnknownName("key", key, valid_keys(), where=f" in [{part}] of {file}")
    both = {part: dict(given.get(part, {})) for part in PARTS}
    for part in PARTS:
        both[part].setdefault("time", 60)
        both[part].setdefault("array_parallelism", PARALLELISM)
    return Profile(file.stem, both, longest)


def profiles() -> list[str]:
    """Return the names of the profiles of this checkout."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def valid_keys() -> list[str]:
    """Return submitit's parameters of an sbatch file, less those that the suite sets."""
    from submitit.slurm import slurm

    return sorted(set(inspect.signature(slurm._make_sbatch_string).parameters) - set(OURS))


def script(profile: Profile, part: Part, *, command: str, name: str, folder: Path, tasks: int, dependency: str) -> str:
    """Return the sbatch text of an array of `tasks`, as submitit writes it."""
    from submitit.slurm import slurm

    keys = dict(profile.keys[part])
    more = {"requeue": True, "kill-on-invalid-dep": "yes", **keys.pop("additional_parameters", {})}
    depends = {"dependency": dependency} if dependency else {}
    text = slurm._make_sbatch_string(
        command=command, folder=folder, job_name=name, map_count=tasks, additional_parameters=more, **depends, **keys
    )
    return text if "wckey" in keys else "".join(line for line in text.splitlines(True) if "--wckey=" not in line)


FOLDER = Path(bench.__file__).parents[1] / "slurm"
