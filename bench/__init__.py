"""Compare ten published methods that mitigate disparities in trained medical-image classifiers."""

__version__ = "0.1.0"
