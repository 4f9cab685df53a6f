"""Seeds of random numbers that depend on words, so that each thing has numbers of its own in whatever company."""

from __future__ import annotations

import hashlib


def seed_of(*words: object) -> int:
    """A seed of 63 bits that depends on all ``words``."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
