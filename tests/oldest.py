"""Print the lowest versions that pyproject.toml allows, one requirement a line: `make test-oldest` installs them.

torch and torchvision are left out: their old releases are on the index with several GB of CUDA packages only.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = ("torch", "torchvision")


def lowest(requirement: str) -> str:
    """Return a requirement with its lower bound as the version: `name>=2.11,<2.14` becomes `name==2.11`."""
    name, version = re.fullmatch(r"([\w.-]+)>=([\d.]+)(?:,.*)?", requirement).groups()
    return "" if name in LEFT_OUT else f"{name}=={version}"


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    print("\n".join(filter(None, map(lowest, [*project["dependencies"], *extras]))))
