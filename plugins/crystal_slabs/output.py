"""Frames of extended XYZ and the rows of slabs.csv; numbers read back as the same bits."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystal_slabs.making import HELD

if TYPE_CHECKING:
    from crystal_slabs.pairing import Pair

COLUMNS = {
    "id": "",
    "left_out": "",
    "group": "",
    "config_type": "",
    "facet": "",
    "prototype": "",
    "kind": "",
    "layers": "",
    "site": "",
    "steps": "",
    "energy_start": "eV",
    "energy_relaxed": "eV",
    "fmax_start": "eV/Å",
    "fmax_relaxed": "eV/Å",
    "moved_slab": "Å",
    "moved_adsorbate": "Å",
}
"""Columns of the table, and their units."""


def xyz_frame(atoms: ase.Atoms, info: Mapping[str, Any], relaxed: NDArray[np.float64] | None = None) -> str:
    """One frame with tags and what may move, and ``relaxed_positions`` if they are given."""
    fields = "species:S:1:pos:R:3:tags:I:1:move_mask:L:1"
    tags = atoms.get_tags()
    columns = [
        list(atoms.symbols),
        *_texts(atoms.positions),
        [str(t) for t in tags],
        ["F" if t == HELD else "T" for t in tags],
    ]
    if relaxed is not None:
        fields += ":relaxed_positions:R:3"
        columns += _texts(relaxed)
    lattice = " ".join(repr(float(x)) for x in atoms.cell.array.flat)
    said = " ".join(f"{k}={_value(v)}" for k, v in info.items() if v is not None and v != "")
    pbc = " ".join("T" if p else "F" for p in atoms.pbc)
    head = f'Lattice="{lattice}" Properties={fields} {said} pbc="{pbc}"'
    return "\n".join([str(len(atoms)), head, *(" ".join(row) for row in zip(*columns, strict=True))]) + "\n"


def table_text(pairs: Sequence[Pair]) -> str:
    """The text of slabs.csv: every structure that was made."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([f"{name} [{unit}]" if unit else name for name, unit in COLUMNS.items()])
    for pair in pairs:
        said = {**pair.said, "left_out": pair.left_out}
        writer.writerow(["" if said[c] is None else _plain(said[c]) for c in COLUMNS])
    return out.getvalue()


def _texts(rows: NDArray[np.float64]) -> list[list[str]]:
    return [[repr(float(x)) for x in column] for column in rows.T]


def _value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
