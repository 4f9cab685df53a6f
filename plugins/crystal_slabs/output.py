"""Frames of extended XYZ and the rows of slabs.csv; numbers read back as the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystal_slabs.making import HELD
from crystalcli.vocabulary.tables import csv_text
from crystalcli.vocabulary.texts import xyz_word

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


def xyz_frame(
    atoms: ase.Atoms,
    info: Mapping[str, Any],
    relaxed: NDArray[np.float64] | None = None,
    may_move: NDArray[np.bool_] | None = None,
) -> str:
    """One frame with tags and what may move, and ``relaxed_positions`` if they are given.

    Args:
        atoms: at their start.
        info: said of the frame; what is none or empty is left out.
        relaxed: (N, 3) Å.
        may_move: (N, 3), along each axis; by default all but what the tags hold.
    """
    tags = atoms.get_tags()
    mask = np.repeat((tags != HELD)[:, None], 3, axis=1) if may_move is None else may_move
    mask = mask[:, :1] if (mask == mask[:, :1]).all() else mask
    fields = f"species:S:1:pos:R:3:tags:I:1:move_mask:L:{mask.shape[1]}"
    columns = [list(atoms.symbols), *_texts(atoms.positions), [str(t) for t in tags]]
    columns += [["T" if m else "F" for m in column] for column in mask.T]
    if relaxed is not None:
        fields += ":relaxed_positions:R:3"
        columns += _texts(relaxed)
    numbers = " ".join(repr(float(x)) for x in atoms.cell.array.flat)
    lattice = f'Lattice="{numbers}" ' if atoms.cell.array.any() else ""
    said = " ".join(f"{k}={_value(v)}" for k, v in info.items() if v is not None and v != "")
    pbc = " ".join("T" if p else "F" for p in atoms.pbc)
    head = f'{lattice}Properties={fields} {said} pbc="{pbc}"'
    return "\n".join([str(len(atoms)), head, *(" ".join(row) for row in zip(*columns, strict=True))]) + "\n"


def table_text(pairs: Sequence[Pair]) -> str:
    """The text of slabs.csv: every structure that was made."""
    heads = [f"{name} [{unit}]" if unit else name for name, unit in COLUMNS.items()]
    said = ({**pair.said, "left_out": pair.left_out} for pair in pairs)
    return csv_text(heads, ([row[c] for c in COLUMNS] for row in said))


def _texts(rows: NDArray[np.float64]) -> list[list[str]]:
    return [[repr(float(x)) for x in column] for column in rows.T]


def _value(value: Any) -> str:
    if not isinstance(value, str):
        return _plain(value)
    escaped = xyz_word(value).replace('"', '\\"')
    return f'"{escaped}"'


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
