"""Choices that some formats need, made by the user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """Choices that some formats need.

    Args:
        cif_column: column of a table that holds the CIF text; needed only if there are several.
        id_column: column of a table that names the rows; found by itself if it has a usual name.
    """

    cif_column: str = ""
    id_column: str = ""


DEFAULTS = ReadOptions()
