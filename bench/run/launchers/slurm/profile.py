"""Profiles: the resources that jobs request from a cluster, in the keys of submitit (`slurm/*.toml`)."""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import bench
from bench.errors import DataMissing, UnknownName, UsageError

Part = Literal["baseline", "method"]
PARTS: tuple[Part, ...] = get_args(Part)
CAP = "longest_time"
OURS = ("command", "folder", "job_name", "dependency", "map_count", "num_gpus", "comment")
"""Parameters of submitit that the suite sets, or that submitit has deprecated."""
COUNTS = ("array_parallelism", "nodes", "cpus_per_task", "ntasks_per_node")
"""Keys that are whole numbers from 1."""
DEFAULTS = {"time": 60, "array_parallelism": 16}
"""Minutes of a job, and tasks of an array that run at the same time, unless the profile sets them."""
LONGER, LONGEST = 1.5, 4.0
"""Factors of the time limit for a cell that ran out of time: per attempt, and the most if the profile has no cap."""
FOLDER = Path(bench.__file__).parents[1] / "slurm"


@dataclass(frozen=True)
class Profile:
    """A cluster: `keys[part]` are submitit's parameters for the jobs of baselines and of methods.

    `longest_time` is the limit, in minutes, up to which jobs that ran out of time are given more.
    """

    name: str
    keys: dict[str, dict[str, Any]]
    longest_time: int | None = None

    def minutes_after(self, part: Part, over: int) -> int:
        """Return the time limit, in minutes, of a job whose cell ran out of time `over` times."""
        usual = int(self.keys[part]["time"])
        longest = self.longest_time or LONGEST * usual
        return round(max(usual, min(usual * LONGER**over, longest)))

    def gpus(self, part: Part) -> int:
        """Return the number of GPUs of a job."""
        return int(self.keys[part].get("gpus_per_node", 0) or 0)


def profile(name: str) -> Profile:
    """Return the profile with a name in `slurm/`, or at a path that ends in .toml.

    Raises:
        UnknownName: no such profile, or a key that submitit does not have.
        DataMissing: no file at that path.
        UsageError: the file is not TOML, or has an impossible time, number of nodes or number of array tasks.
    """
    file = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not file.is_file():
        if name.endswith(".toml"):
            raise DataMissing(
                f"profile {file}", get_it=f"A profile is one of {', '.join(profiles())}, or the path of a TOML file."
            )
        raise UnknownName("profile", name, profiles(), where=f" in {FOLDER} (or give the path of a .toml file)")
    try:
        keys = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    longest = minutes_of(keys.pop(CAP), f"{CAP} in {file}") if CAP in keys else None
    for part, of_part in keys.items():
        if part not in PARTS or not isinstance(of_part, dict):
            raise UnknownName("table", part, (*PARTS, CAP), where=f" in {file}")
        for key in of_part:
            if key not in valid_keys():
                raise UnknownName("key", key, valid_keys(), where=f" in [{part}] of {file}")
            if key in COUNTS and (type(of_part[key]) is not int or of_part[key] < 1):
                raise UsageError(f"{key} = {of_part[key]!r} in [{part}] of {file}: a whole number, 1 or more, expected")
        if "time" in of_part:
            of_part["time"] = minutes_of(of_part["time"], f"time in [{part}] of {file}")
    return Profile(file.stem, {part: {**DEFAULTS, **keys.get(part, {})} for part in PARTS}, longest)


def minutes_of(value: object, where: str) -> int:
    """Return a time limit in minutes, rounded up, as SLURM reads it: `90`, `30:00`, `1:30:00`, `1-12`, `1-12:00:00`.

    Raises:
        UsageError: anything else, or no time at all.
    """
    text = str(value) if type(value) in (int, str) else ""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d\d))?(?::(\d\d))?", text.strip())
    if match:
        days, *parts = match.groups()
        given = [int(part) for part in parts if part is not None]
        # Without days the numbers end with seconds (one alone is minutes); after days they begin with hours.
        units = (3600, 60, 1) if days or len(given) == 3 else (60, 1)
        seconds = int(days or 0) * 86400 + sum(n * unit for n, unit in zip(given, units, strict=False))
        if seconds > 0:
            return -(-seconds // 60)
    raise UsageError(f"{where}: {value!r}: minutes, or a time as SLURM writes it, such as 90, 1:30:00 or 1-12:00:00")


def profiles() -> list[str]:
    """Return the names of the profiles in this checkout."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def valid_keys() -> list[str]:
    """Return the parameters of submitit's sbatch files, without those that the suite sets."""
    from submitit.slurm import slurm

    return sorted(set(inspect.signature(slurm._make_sbatch_string).parameters) - set(OURS))


def script(profile: Profile, part: Part, *, command: str, folder: Path, tasks: int, dependency: str = "") -> str:
    """Return the sbatch script of an array of `tasks`, as submitit writes it; the job has the name of `folder`."""
    from submitit.slurm import slurm

    keys = {**profile.keys[part], "job_name": folder.name, "map_count": tasks}
    more = {"requeue": True, "kill-on-invalid-dep": "yes", **keys.pop("additional_parameters", {})}
    if dependency:
        keys["dependency"] = dependency
    text = slurm._make_sbatch_string(command=command, folder=folder, additional_parameters=more, **keys)
    return text if "wckey" in keys else "".join(line for line in text.splitlines(True) if "--wckey=" not in line)
