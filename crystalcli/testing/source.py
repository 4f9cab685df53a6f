"""What every source of structures must do."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

import ase
import numpy as np
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Source
from crystalcli.nouns.structures.check import check
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import InputError

MOST = 8
"""Structures looked at; a source may have no end."""


class SourceContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest."""

    part: ClassVar[Source]
    options: ClassVar[Mapping[str, Any]] = {}

    def generated(self, seed: int = 0, most: int = MOST) -> list[Entry]:
        """The first structures of a seed; bad ones that it names are left out."""
        chosen: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        found = []
        for item in islice(self.part.generate(chosen, seed), most):
            assert isinstance(item, Entry | InputError), f"gives a {type(item).__name__}, not an Entry"
            if isinstance(item, Entry):
                assert isinstance(item.atoms, ase.Atoms), f"the atoms of an entry are a {type(item.atoms).__name__}"
                found.append(item)
        return found

    def test_gives_sound_structures(self) -> None:
        """With its default options it gives structures that can be used, each with a name of its own."""
        found = self.generated()
        assert found, "gives no structure"
        for entry in found:
            check(entry.atoms)
        twice = [name for name, n in Counter(e.id for e in found).items() if n > 1]
        assert not twice, f"two structures are called '{twice[0]}'" if twice else ""

    def test_labels_fit(self) -> None:
        """Arrays that are one per atom have as many rows as there are atoms; what is said of labels is said of some."""
        for entry in self.generated():
            for key, value in entry.labels.items():
                known = entry.quantities.get(key)
                if known is not None and known.level == "site":
                    assert len(value) == len(entry.atoms), f"label '{key}' has {len(value)} rows"
            unknown = sorted(entry.quantities.keys() - entry.labels.keys())
            assert not unknown, f"says what '{unknown[0]}' is, and has none" if unknown else ""

    def test_the_seed_decides(self) -> None:
        """The same seed gives the same bits, whatever else draws random numbers, and two may go on side by side."""
        first = self.generated(3)
        np.random.seed(5)  # noqa: NPY002 - what a source must not listen to
        torch.manual_seed(5)
        _alike(self.generated(3), first, "another state of numpy's and torch's random numbers")
        chosen: Any = opt.make(self.part.options, self.options, owner=self.part.name)
        pair = zip(self.part.generate(chosen, 3), self.part.generate(chosen, 4), strict=False)
        _alike([a for a, _ in islice(pair, MOST) if isinstance(a, Entry)], first, "another generator beside it")

    def test_leaves_random_numbers_alone(self) -> None:
        """It draws from a generator of its own: numpy's and torch's are where they were."""
        np.random.seed(7)  # noqa: NPY002
        torch.manual_seed(7)
        before = _numpy_state(), torch.get_rng_state()
        self.generated()
        after = _numpy_state(), torch.get_rng_state()
        assert before[0] == after[0], "draws from numpy's global random numbers; use default_rng(seed)"
        assert torch.equal(before[1], after[1]), "draws from torch's global random numbers; use a generator"

    def test_the_first_ones_do_not_hang_on_how_many_are_taken(self) -> None:
        """Structures come one after the other, and the first is the same whether others are taken or not."""
        _alike(self.generated(1, most=1), self.generated(1)[:1], "more structures taken")

    def test_travels(self) -> None:
        """Entries can be sent to and from a worker."""
        for entry in self.generated():
            assert pickle.loads(pickle.dumps(entry)).atoms == entry.atoms, "changes on its way to another process"


def _numpy_state() -> bytes:
    return pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002


def _alike(found: list[Entry], expected: list[Entry], what: str) -> None:
    assert [e.id for e in found] == [e.id for e in expected], f"other names with {what}"
    for one, other in zip(found, expected, strict=True):
        same = np.array_equal(one.atoms.positions, other.atoms.positions) and one.atoms == other.atoms
        assert same, f"'{one.id}' is another structure with {what}"
        assert one.labels.keys() == other.labels.keys(), f"'{one.id}' has other labels with {what}"
