"""bench: ten ways of mitigating disparities in trained medical-image classifiers, side by side."""

__version__ = "0.1.0"
