"""One crystal as read: where it came from, what it is called, and every label the file offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ase

from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Entry:
    """A structure with its candidates for labels.

    Args:
        id: name of the structure, unique in the run.
        atoms: the structure; constraints, info and arrays are kept.
        source: ``PATH``, or ``PATH:FRAME`` (counted from 0) or, for a row of a table, ``PATH:LINE``.
        labels: every number the file offers for this structure, by the key the file uses; site labels are arrays
            of shape (N,) or (N, k).
        tags: texts that belong to the structure (a ``split`` or ``group`` column, say).
        quantities: what the format itself knows of some labels (unit, level, extensive), by the same key.
        warnings: what a careful user would want to know of this structure, one line each.
        left_out: what the file says of the structure and the reader does not use, by name, and what it is
            (``"36 numbers"``). Said once for all structures of a kind of file.
        notes: how the reader understands what can be understood in several ways; said once, too.
        kind: what kind of file it is from, in words; reading fills it in.
    """

    id: str
    atoms: ase.Atoms
    source: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kind: str = ""


def alone(entry: Entry, path: Path) -> Entry:
    """``entry`` as the only structure of its file, which is called as the file."""
    return replace(entry, id="", source=str(path))
