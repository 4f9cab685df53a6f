"""What an input is, as a digest: a file, or a source of structures."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from crystalcli.engine.read.sources import is_source, request
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.run_folder import sha256

UNREADABLE = "unreadable"
"""What stands in the place of the hash of a file that cannot be read."""


def digest(path: Path) -> str:
    """sha256 of an input file, or of a source and its plugin's version; a word where it cannot be read.

    Never opens what might wait (a FIFO).
    """
    if is_source(path):
        origin = registry().origin("source", request(path).part.name)
        return hashlib.sha256(f"{path}\0{origin}".encode()).hexdigest()
    try:
        return sha256(path) if stat.S_ISREG(path.stat().st_mode) else "not a file"
    except OSError:
        return UNREADABLE
