"""A method fitted on random images, and the scores of the hand example."""

import torch

from bench.checks.subject import random_run


def fit(method, **changes):
    run = random_run(method, "x", **changes)
    return run, method.fit(run)


def example_b():
    """z, y, a of the cells (0, 1) twice, (1, 1), (0, 0), (1, 0) twice, with the scores of the hand example."""
    p = torch.tensor([0.8, 0.5, 0.4, 0.2, 0.1, 0.3], dtype=torch.float64)
    return torch.log(p / (1 - p)), torch.tensor([1.0, 1, 1, 0, 0, 0]).double(), torch.tensor([0, 0, 1, 0, 1, 1])
