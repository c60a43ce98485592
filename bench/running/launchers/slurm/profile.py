"""Profiles: the resources that jobs request from a cluster, in the keys of submitit (`slurm/*.toml`)."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from bench.errors import DataMissing, UnknownName, UsageError
from bench.files import read_toml, shipped

Part = Literal["baseline", "method"]
PARTS: tuple[Part, ...] = get_args(Part)
CAP = "longest_time"
OURS = ("command", "folder", "job_name", "dependency", "map_count", "num_gpus", "comment")
"""Parameters of submitit that the suite sets, or that submitit has deprecated."""
COUNTS = ("array_parallelism", "nodes", "cpus_per_task", "ntasks_per_node")
"""Keys that are whole numbers from 1."""
DEFAULTS = {"time": 60, "array_parallelism": 16}
"""Minutes of a job, and tasks of an array that run at the same time, unless the profile sets them."""
MOST = 10**6
_KINDS: dict[str, Any] = {"additional_parameters": dict[str, str | int | bool], "srun_args": list[str]}
"""Types that submitit states more broadly."""
_REFUSED = (
    ("generic resource|gres", ("gpus_per_node", "gpus_per_task", "gres"), "profile no-accounting asks for none"),
    ("partition", ("partition",), "`sinfo` lists the partitions"),
    ("account", ("account", "qos"), "`sacctmgr show associations` lists yours"),
    ("qos", ("qos",), "`sacctmgr show qos` lists them"),
    ("time limit", ("time",), "`sinfo` lists the limits of the partitions"),
    ("feature|constraint", ("constraint",), "`sinfo -o %f` lists the features of nodes"),
    ("memory", ("mem", "mem_per_cpu", "mem_per_gpu"), "ask for less"),
    ("node (configuration|count)|cpu count", ("nodes", "cpus_per_task", "mem", "gpus_per_node"), "ask for less"),
)
"""Messages of `sbatch`, the keys that may have asked for what it refuses, and what to do."""
LONGER, LONGEST = 1.5, 4.0
"""Factors of the time limit for a cell that ran out of time: per attempt, and the most if the profile has no cap."""


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
    """Return the profile of a name that the suite ships, or at a path that ends in .toml.

    Raises:
        UnknownName: no such profile, or a key that submitit does not have.
        DataMissing: no file at that path.
        UsageError: the file is not TOML, or has an impossible time, number of nodes or number of array tasks.
    """
    file = find_profile(name)
    keys = read_toml(file)
    longest = minutes_of(keys.pop(CAP), f"{CAP} in {file}") if CAP in keys else None
    for part, of_part in keys.items():
        if part not in PARTS:
            raise UnknownName("table", part, (*PARTS, CAP), where=f" in {file}")
        if not isinstance(of_part, dict):
            raise UsageError(f"{part} = {of_part!r} in {file}: a table [{part}] expected")
        for key, value in of_part.items():
            if key not in valid_keys():
                raise UnknownName("key", key, valid_keys(), where=f" in [{part}] of {file}")
            if key == "time":
                of_part[key] = minutes_of(value, f"time in [{part}] of {file}")
            elif expected := _wrong(key, value):
                raise UsageError(f"{key} = {value!r} in [{part}] of {file}: {expected} expected")
    return Profile(file.stem, {part: {**DEFAULTS, **keys.get(part, {})} for part in PARTS}, longest)


def find_profile(name: str) -> Path:
    """Return the file of a profile, by its name or its path; raises as `profile`."""
    file = Path(name) if name.endswith(".toml") else shipped("profiles") / f"{name}.toml"
    if file.is_file():
        return file
    if name.endswith(".toml"):
        raise DataMissing(
            f"profile {file}", get_it=f"A profile is one of {', '.join(profiles())}, or the path of a TOML file."
        )
    raise UnknownName("profile", name, profiles(), where=" (or give the path of a .toml file)")


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
    """Return the names of the profiles that the suite ships."""
    return sorted(file.stem for file in shipped("profiles").glob("*.toml"))


def valid_keys() -> dict[str, Any]:
    """Return the types of the parameters of submitit's sbatch files, without those that the suite sets."""
    from submitit.slurm import slurm

    kinds = typing.get_type_hints(slurm._make_sbatch_string)
    return {key: kinds[key] for key in sorted(kinds) if key not in (*OURS, "return")}


def _wrong(key: str, value: object) -> str:
    """Return what the value of a key must be, if it is something else; texts become a line of a script."""
    kind = _KINDS.get(key) or valid_keys()[key]
    if int in (kind, *typing.get_args(kind)):
        least = int(key in COUNTS)
        return "" if type(value) is int and least <= value <= MOST else f"a whole number from {least} to {MOST}"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return str(error).replace(" | null", "").partition(", got")[0].removeprefix("Expected ")
    lines = value.items() if isinstance(value, dict) else [(key, value)] if isinstance(value, str) else []
    return "one line of text" if any(not str(part).isprintable() for line in lines for part in line) else ""


def asked_by(profile: Profile, part: Part, said: str) -> str:
    """Return which keys of a profile asked for what `sbatch` refused, and what to do; "" if that is not known."""
    for pattern, keys, advice in _REFUSED:
        if re.search(pattern, said, re.IGNORECASE):
            values = [f"{key} = {profile.keys[part][key]!r}" for key in keys if key in profile.keys[part]]
            where = f"{', '.join(values) or ' or '.join(keys)} in [{part}] of profile {profile.name}"
            return f". Asked for by {where}: {advice}. Change it in a copy of the profile (`bench new profile`)"
    return ""


def script(profile: Profile, part: Part, *, command: str, folder: Path, tasks: int, dependency: str = "") -> str:
    """Return the sbatch script of an array of `tasks`, as submitit writes it; the job has the name of `folder`."""
    from submitit.slurm import slurm

    keys = {**profile.keys[part], "job_name": folder.name, "map_count": tasks}
    more = {"requeue": True, "kill-on-invalid-dep": "yes", **keys.pop("additional_parameters", {})}
    if dependency:
        keys["dependency"] = dependency
    text = slurm._make_sbatch_string(command=command, folder=folder, additional_parameters=more, **keys)
    return text if "wckey" in keys else "".join(line for line in text.splitlines(True) if "--wckey=" not in line)
