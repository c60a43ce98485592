"""What was read of an export: the material of a report without data, images and, mostly, predictions."""

from __future__ import annotations

from dataclasses import dataclass

from bench.report.material import Material

TASK = "task.toml"
"""The file of the definition of the task in an export."""


@dataclass(frozen=True)
class Received(Material):
    """What an export holds of its task, unpacked for a while."""

    def run_line(self, methods: str, backbone: str | None = None, *more: str) -> str:
        """Return the command that makes cells of this task, at home or with the `task.toml` of the export."""
        line, spec = super().run_line(methods, backbone, *more), self.settings.task
        return line.replace(spec, TASK) if spec.endswith(".toml") else line
