"""Seeds derived from names, so that adding a method, fold or stage does not change the numbers of others."""

from __future__ import annotations

import hashlib


def seed_of(*parts: object) -> int:
    """Return 63 bits of the SHA-256 of the parts, identical on every machine and Python version."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
