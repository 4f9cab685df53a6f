"""Training and validation structures of the later members of an ensemble: dealt anew, the test part as it is."""

from __future__ import annotations

import numpy as np

from crystalcli.engine.data import split_rules, splits
from crystalcli.engine.data.splits import Fractions, Split
from crystalcli.train.material import Index, Material
from crystalcli.train.options import TrainOptions

ENOUGH_FORMULAS, ENOUGH_GROUPS = 10, 3
"""So many that dealing them anew gives members parts of their own; formulas where no groups are asked for."""


def dealt_anew(material: Material, split: Split, few: int, o: TrainOptions, together: str) -> Split:
    """Other training and validation structures of the same numbers, whole groups together; isolated atoms train.

    Of the validation part about ``few`` are dealt, as many as belong to the training structures that there are: members
    taught by 60 structures of many must not see hundreds between them. Frames of runs stay as they are: a random half
    of a run knows the other half.

    Args:
        material: the data.
        split: of the first member.
        few: see above.
        o: says which member it is.
        together: column whose equal values stay together; empty: whole formulas do.
    """
    enough = ENOUGH_GROUPS if together else ENOUGH_FORMULAS
    same = Split(split.train, split.val, split.test, f"{split.how}; the same for all members")
    alone = material.alone(split.train)
    learned, every = split.train[~alone], np.concatenate([split.train[~alone], split.val])
    groups = material.groups(together, every)[0] if together else material.formulas(every)
    dealt = _whole_groups(groups[len(learned) :], few, np.random.default_rng([o.seed_of_split, 10]))
    taken = np.concatenate([np.ones(len(learned), dtype=bool), dealt])
    order = np.argsort(every[taken])
    pool, numbers = every[taken][order], groups[taken][order]
    if o.split == "time" or not dealt.any() or len(np.unique(numbers)) < enough:
        return same
    share = int(dealt.sum()) / len(pool)
    seed = int(np.random.SeedSequence([o.seed_of_split, 8, o.member]).generate_state(1)[0])
    inner = split_rules.grouped(pool, numbers, Fractions(1 - share, 0.0, share), seed, "")
    kept = f", values of '{together}' together" if together else ""
    how = f"{split.how}; train and validation dealt anew for member {o.member}{kept}"
    train, val = np.concatenate([inner.train, split.train[alone]]), np.concatenate([inner.test, split.val[~dealt]])
    return splits.made(train, val, split.test, how)


def _whole_groups(groups: Index, few: int, chance: np.random.Generator) -> np.ndarray:
    """Whether each structure is among whole groups, drawn at random, of about ``few`` structures."""
    names, sizes = np.unique(groups, return_counts=True)
    order = chance.permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order] / 2
    return np.isin(groups, names[order[before <= few]])
