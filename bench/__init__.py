"""Compare ten published methods that mitigate disparities in trained medical-image classifiers.

From Python: the functions of `__all__`, which docs/python.md describes. Each is imported when it is first used, so that
`import bench` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.interface import predictions, report, results, run, score
    from bench.models.model_folder import load_model
    from bench.models.new_images import predict_images

__version__ = "0.2.0"
__all__ = ["load_model", "predict_images", "predictions", "report", "results", "run", "score"]

_HOME = {
    **dict.fromkeys(("predictions", "report", "results", "run", "score"), "interface"),
    **{"load_model": "models.model_folder", "predict_images": "models.new_images"},
}
"""The module of each function."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(f"bench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
