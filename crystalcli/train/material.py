"""The data set as splits see it: which structures take part, what text columns say of them, which belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.data import classes, frames, leaks
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import UsageError, did_you_mean

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """The data set as splits see it.

    Args:
        data: all structures. usable: those with a label, sorted.
        values: (S,) a label of every structure, for trends in time; NaN where there is none.
        ids: unique names.
    """

    data: GraphDataset
    usable: Index
    values: NDArray[np.float64]
    ids: Sequence[str]

    @cached_property
    def series(self) -> tuple[Index, Index]:
        """Runs of the usable structures and their places in time; looked for once, for positions are read."""
        return frames.series(self.data, self.usable)

    def alone(self, index: Index) -> NDArray[np.bool_]:
        """Whether structures ``index`` are isolated atoms: they fix energies of elements, and are there to learn."""
        return np.asarray((self.data.atom_counts()[index] == 1) & (self.data.edge_counts()[index] == 0))

    def formulas(self, index: Index) -> Index:
        """A number for the formula of each of ``index``."""
        return leaks.numbered(self.data.formulas())[index]

    def groups(self, column: str, index: Index) -> tuple[Index, str]:
        """A number for what ``column`` says of each of ``index``, and in words how many there are.

        A structure of which it says nothing belongs to no other: it is a group of its own.

        Raises:
            UsageError: no such column, one of other numbers than whole ones, or it says nothing of any structure.
        """
        said = words(self.data, column)
        if column in self.data.columns and column not in self.data.tags:
            known = self.data.columns[column]
            if len(odd := known.values[known.mask & (known.values != np.round(known.values))]):
                raise UsageError(f"label '{column}' has values such as {odd[0]:g}; groups are words or whole numbers")
        mine = [said[i] for i in index]
        n, none = len(set(mine) - {""}), mine.count("")
        if not n:
            raise UsageError(f"column '{column}' says nothing of the {len(index)} structures that are to be dealt")
        how = f"{n} groups" + (f", and {none} structures of which it says nothing, each by itself" if none else "")
        return leaks.numbered([w or f"\0{k}" for k, w in enumerate(mine)]), f"'{column}' ({how})"


def words(data: GraphDataset, column: str) -> list[str]:
    """What a text column, or a label of numbers, says of every structure; ``""`` where it says nothing.

    Raises:
        UsageError: no such column, or a label that is not one number per structure.
    """
    tags = data.tags
    if column not in tags and column not in data.columns:
        known = [*tags, *data.columns]
        raise UsageError(
            f"the caches have no label or text column '{column}'; {did_you_mean(column, known)}; a column of numbers is"
            f" taken by crystal build-graphs --targets …,{column}"
        )
    if column in tags:
        return [w.strip() for w in tags[column]]
    found = data.columns[column]
    if found.quantity.level != "structure" or found.quantity.shape:
        raise UsageError(f"label '{column}' is not one number per structure; that takes one word, or number, of each")
    pairs = zip(found.values.tolist(), found.mask.tolist(), strict=True)
    names = found.quantity.words if found.quantity.classes else ()
    return [(names[int(v)] if names else classes.word(v)) if known else "" for v, known in pairs]
