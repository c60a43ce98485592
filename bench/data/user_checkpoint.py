"""The user's own baseline: the checkpoint of each fold, or the folder of a model, and its checksum."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import DataMissing

FOLD = "{fold}"
IN_FOLDER = "model.safetensors"
"""The weights in a folder of `bench model`."""


@dataclass(frozen=True)
class UserCheckpoint:
    """Checkpoints by path. `{fold}` in it is replaced by the number of the fold. Without it, all folds share one."""

    path: Path

    @property
    def shared(self) -> bool:
        """True where all folds have the same file."""
        return FOLD not in str(self.path)

    def file(self, fold: int) -> Path:
        """Return the file of a fold; of a folder, that of its weights.

        Raises:
            DataMissing: the file does not exist.
        """
        file = Path(str(self.path).replace(FOLD, str(fold)))
        file = file / IN_FOLDER if file.is_dir() else file
        if not file.is_file():
            raise DataMissing(f"--baseline: checkpoint {file}", get_it=f"{FOLD} in its path is replaced by 0, 1, ...")
        return file

    def sha256(self, fold: int) -> str:
        """Return the SHA-256 of the file of a fold."""
        file = self.file(fold)
        return _sha256(file, file.stat().st_mtime_ns)


@cache
def _sha256(file: Path, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
