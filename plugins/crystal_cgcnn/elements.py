"""Element features: 92 fixed ones and zeros, or a learned row."""

from __future__ import annotations

from importlib.resources import files
from typing import ClassVar

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.vocabulary.errors import UsageError

N_ELEMENTS = 119
"""Rows of a table indexed by atomic number; row 0 is unused."""
DIM = 92


def load_table() -> Tensor:
    """The 92 features of elements 1 … 100 as (119, 92) zeros and ones; rows without features are zero.

    The table released with CGCNN, made by ``make_element_table.py``.
    """
    table = torch.zeros(N_ELEMENTS, DIM)
    for line in files("crystal_cgcnn").joinpath("elements92.txt").read_text(encoding="utf-8").splitlines():
        symbol, *ones = line.split()
        table[chemical_symbols.index(symbol), [int(k) for k in ones]] = 1.0
    return table


class FixedElements(nn.Module):
    """Rows of the released table; refuses elements that it does not have."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.dim = DIM
        self.register_buffer("table", load_table())

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """Features (N, 92) of (N,) atomic numbers.

        Raises:
            UsageError: an element without features.
        """
        rows = self.table.index_select(0, atomic_numbers)
        known = rows.any(dim=1)
        if not bool(known.all()):
            missing = sorted({chemical_symbols[z] for z in atomic_numbers[~known].tolist()})
            raise UsageError(
                f"no element features for {', '.join(missing)} (only H to Fm have them); use --atom-features learned"
            )
        return rows


class LearnedElements(nn.Module):
    """One learned row per atomic number: tells all elements apart, knows nothing of those it was not trained on."""

    element_tables: ClassVar = {"rows.weight": ElementTable(0, by_number=True)}

    def __init__(self) -> None:
        super().__init__()
        self.dim = DIM
        self.rows = nn.Embedding(N_ELEMENTS, DIM)

    def forward(self, atomic_numbers: Tensor) -> Tensor:
        """Features (N, dim) of (N,) atomic numbers."""
        found: Tensor = self.rows(atomic_numbers)
        return found


def element_features(kind: str) -> FixedElements | LearnedElements:
    """Module for the option ``atom_features``: ``onehot92`` or ``learned``."""
    return FixedElements() if kind == "onehot92" else LearnedElements()
