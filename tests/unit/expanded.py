"""The runs that a command asks for."""

from bench.running.plan_file import expand
from bench.settings import Settings


def asked(runs):
    """Task, backbone and methods of each run."""
    return [(run.task, run.backbone, run.methods) for run in runs]


def expanded(task, **given):
    return asked(expand(Settings(task, **{"methods": "swift", **given})))
