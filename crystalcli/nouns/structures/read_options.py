"""Choices about reading: those that some formats need, and what labels are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Labels = Literal["needed", "welcome", "unused"]


@dataclass(frozen=True)
class ReadOptions:
    """Choices about reading.

    Args:
        cif_column: column of a table that holds the CIF text; needed only if there are several.
        id_column: column of a table that names the rows; found by itself if it has a usual name.
        labels: whether an ``id_prop.csv`` beside the files is opened: a broken one stops what needs labels; where they
            are welcome it is told and left alone; where they are not used nobody looks.
    """

    cif_column: str = ""
    id_column: str = ""
    labels: Labels = "needed"


DEFAULTS = ReadOptions()
UNLABELLED = ReadOptions(labels="unused")
"""For commands that have no use for labels."""
