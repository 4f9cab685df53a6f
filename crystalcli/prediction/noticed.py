"""What is noticed while structures are predicted, said once for all of them: by readers, and by the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import ase

from crystalcli.engine.labels.seen import Seen
from crystalcli.nouns.structures.entry import Entry

WARNINGS = 10
"""Different warnings of readers that are said."""


class Noticed:
    """Collected over structures.

    Args:
        warn: told of it.
        reads_tags: the model reads the tags of atoms.

    Attributes:
        files: what the files say and nobody uses.
        warned: how often readers have said which warning.
        extrapolated: predictions with a reason to doubt them.
        unseen_distances: structures with distances that the baseline never had.
    """

    def __init__(self, warn: Callable[[str], None], *, reads_tags: bool) -> None:
        self.warn, self.reads_tags = warn, reads_tags
        self.files = Seen()
        self.warned: Counter[str] = Counter()
        self.extrapolated = self.unseen_distances = self._without_tags = 0

    def read(self, entry: Entry) -> None:
        """A structure was read; a warning of it is said when it is the first of its words."""
        self.files.take(entry)
        for text in entry.warnings:
            self.warned[text] += 1
            if self.warned[text] == 1 and len(self.warned) <= WARNINGS:
                self.warn(f"{entry.id}: {text}")

    def extrapolation(self, atoms: ase.Atoms) -> None:
        """The prediction for a structure is one."""
        self.extrapolated += 1
        self._without_tags += self.reads_tags and not atoms.has("tags")

    def say(self) -> None:
        """Warn of how many there were; those of the model are counted anew from here on."""
        for text, n in list(self.warned.items())[:WARNINGS]:
            if n > 1:
                self.warn(f"{n - 1} more structures: {text}")
        if more := sum(list(self.warned.values())[WARNINGS:]):
            self.warn(f"{more} more warnings of structures, of other words; --json has all")
        if self._without_tags:
            self.warn(
                f"{self._without_tags} extrapolations have no tags, which the model reads: every atom counts as 0, as "
                "held ones may have where it learned; extended XYZ has tags"
            )
        if self.unseen_distances:
            self.warn(
                f"{self.unseen_distances} structures have distances between atoms that training never has; "
                "the baseline counts them as nothing"
            )
        self._without_tags = self.unseen_distances = 0
