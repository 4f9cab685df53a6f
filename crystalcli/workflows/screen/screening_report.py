"""What comes out of a screening, in one step or in stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ScreeningReport:
    """What came out.

    Args:
        folder: of the run. data: what report.json holds.
    """

    folder: Path
    data: Mapping[str, Any]


def result_files(folder: Path) -> list[str]:
    """Names of the files in the folder of a finished run; its lock is none of them."""
    return [p.name for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
