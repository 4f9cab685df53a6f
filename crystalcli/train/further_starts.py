"""Structures that are another start of one in the same cache: they only teach, and only where that one does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crystalcli.engine.data import splits
from crystalcli.engine.data.splits import Split
from crystalcli.nouns.structures.offered import START_OF
from crystalcli.train.material import Index, Material


def dealt(material: Material) -> tuple[Material, Index, Index]:
    """What splits deal, and what they do not.

    Returns:
        The material without further starts; those (F,), and of each the structure that it is a start of; −1: not here.
    """
    said = material.data.tags.get(START_OF)
    if said is None:
        return material, material.usable[:0], material.usable[:0]
    further = np.array([bool(said[i].strip()) for i in material.usable], dtype=bool)
    named = _numbered(material)
    found, owners = material.usable[further], []
    for i in found.tolist():
        cache = int(np.searchsorted(material.data.offsets, i, side="right")) - 1
        owners.append(named.get((cache, said[i].strip()), -1))
    return replace(material, usable=material.usable[~further]), found, np.array(owners, dtype=np.int64)


def added(split: Split, further: Index, owners: Index) -> Split:
    """The split with the further starts of its training structures; the others are in no part."""
    if not len(further):
        return split
    taught = np.isin(owners, split.train)
    how = f"{split.how}; {int(taught.sum())} further starts of training structures"
    if unused := int((~taught).sum()):
        how += f", {unused} of others in no part"
    return splits.made(np.concatenate([split.train, further[taught]]), split.val, split.test, how)


def _numbered(material: Material) -> dict[tuple[int, str], int]:
    """(cache, id in it) → number of the structure in the data."""
    data = material.data
    return {
        (c, name): int(data.offsets[c]) + k for c, cache in enumerate(data.caches) for k, name in enumerate(cache.ids)
    }
