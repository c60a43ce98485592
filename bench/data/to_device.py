"""Copies from the host to the device of a cell."""

from __future__ import annotations

from functools import cache

import torch


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the host on a device, by a copy that the host does not wait for.

    On a GPU it goes on beside what was queued before.
    """
    if device.type == "cpu":
        return values
    if device.type != "cuda":
        return values.to(device, non_blocking=True)
    pinned = values.pin_memory()  # from other memory the host waits, whatever `non_blocking` says
    with torch.cuda.stream(_copies(device)):
        there = pinned.to(device, non_blocking=True)
    now = torch.cuda.current_stream(device)
    now.wait_stream(_copies(device))
    there.record_stream(now)
    return there


@cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
