"""One crystal as read: where it came from, what it is called, and every label the file offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ase


@dataclass(frozen=True)
class Entry:
    """A structure with its candidates for labels.

    Args:
        id: name of the structure, unique in the run.
        atoms: the structure; constraints, info and arrays are kept.
        source: ``PATH`` or ``PATH:FRAME`` for messages.
        labels: every number the file offers for this structure, by the key the file uses; site labels are (N,) arrays.
        tags: texts that belong to the structure (a ``split`` or ``group`` column, say).
    """

    id: str
    atoms: ase.Atoms
    source: str
    labels: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
