"""What must not happen while structures are relaxed, each with a short code: the structure stops, the others go on."""

from __future__ import annotations

import math

import torch
from ase.data import chemical_symbols
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.nouns.near_pairs import NearPairs
from crystalcli.nouns.systems import Systems
from crystalcli.relax.cell_coordinates import CellCoordinates

LARGEST_FORCE = 1e4
"""eV/Å. No structure that can be relaxed has more."""
VOLUME_RATIO = 3.0
SMALLEST_ANGLE = 15.0
"""Degrees between two cell vectors, or half of what the structure began with."""

Bad = dict[int, tuple[str, str]]
"""Structure → code and one line for people."""


class Nearness:
    """Looks for atoms on top of each other.

    Args:
        systems: as they start.
    """

    def __init__(self, systems: Systems) -> None:
        self.near = NearPairs(systems, torch.zeros_like(systems.masses))

    def __call__(self, systems: Systems, active: Tensor) -> Bad:
        """Structures among ``active`` with atoms nearer than :data:`crystalcli.nouns.near_pairs.NEAREST`."""
        if self.near.far(systems):
            return {}
        bad: Bad = {}
        for k, (i, j, distance) in self.near.nearer(systems, active).items():
            numbers = systems.atomic_numbers[systems.structure_index == k].tolist()
            first, second = (f"{chemical_symbols[numbers[atom]]} {atom}" for atom in (i, j))
            bad[k] = "overlap", f"{first} and {second} are {distance:.3g} Å apart"
        return bad


def wild_cells(coords: CellCoordinates, systems: Systems, active: Tensor) -> Bad:
    """Structures whose cell has lost its volume, blown up or folded."""
    if coords.mode == "none":
        return {}
    bad: Bad = {}
    ratio = (torch.linalg.det(systems.cell) / torch.linalg.det(coords.start.cell)).cpu()
    now, start = _smallest_angle(systems.cell).cpu(), _smallest_angle(coords.start.cell).cpu()
    for k in active.nonzero().flatten().tolist():
        if not 1.0 / VOLUME_RATIO < float(ratio[k]) < VOLUME_RATIO:
            bad[k] = "volume", f"the cell's volume is {float(ratio[k]):.3g} times what it was"
        elif float(now[k]) < min(SMALLEST_ANGLE, 0.5 * float(start[k])):
            bad[k] = "angle", f"the cell folds: two vectors are {float(now[k]):.3g}° apart"
    return bad


def wild_answers(systems: Systems, found: Evaluated, active: Tensor) -> Bad:
    """Structures whose energy or forces are no numbers, or forces beyond :data:`LARGEST_FORCE`."""
    index, n = systems.structure_index, systems.n_structures
    size = found.forces.norm(dim=1)
    finite = torch.isfinite(found.energy) & _all(torch.isfinite(size), index, n)
    if found.stress is not None:
        finite &= torch.isfinite(found.stress).flatten(1).all(1)
    calm = _all(~(size > LARGEST_FORCE), index, n)
    bad: Bad = {}
    for k in (active & ~(finite & calm)).nonzero().flatten().tolist():
        mine = size[index == k]
        if not bool(calm[k]):
            atom = int(torch.nan_to_num(mine, nan=0.0).argmax())
            symbol = chemical_symbols[int(systems.atomic_numbers[index == k][atom])]
            bad[k] = "force", f"force of {float(mine[atom]):.2g} eV/Å at {symbol} {atom}"
        else:
            bad[k] = "not-finite", "the energy, a force or the stress is not a number"
    return bad


def wild_rows(rows: Tensor, index: Tensor, active: Tensor) -> Bad:
    """Structures that the relaxer has sent nowhere."""
    finite = _all(torch.isfinite(rows).all(1), index, len(active))
    return dict.fromkeys(_where(active & ~finite), ("not-finite", "the relaxer's step is not a number"))


def _where(mask: Tensor) -> list[int]:
    found: list[int] = mask.nonzero().flatten().tolist()
    return found


def _all(good: Tensor, index: Tensor, n: int) -> Tensor:
    """Whether all rows of each structure are good, (S,) bool."""
    return torch.zeros(n, dtype=torch.int64, device=good.device).index_add(0, index, (~good).long()) == 0


def _smallest_angle(cell: Tensor) -> Tensor:
    """Smallest angle between two lines along cell vectors, (S,) degrees."""
    unit = cell / cell.norm(dim=2, keepdim=True).clamp_min(1e-12)
    cosines = (unit * unit.roll(1, dims=1)).sum(2).abs().amax(1).clamp_max(1.0)
    found: Tensor = cosines.arccos() * (180.0 / math.pi)
    return found
