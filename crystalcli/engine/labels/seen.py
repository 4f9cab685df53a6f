"""What the files say and nobody uses, and how their words were understood: one line for each kind of file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from crystalcli.engine.labels.labelled import Labelled
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.numbers import is_nothing, meant_as_number, no_number
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, OF_VIRIAL
from crystalcli.vocabulary.texts import some

SHOWN = 12
"""Names in a line; ``--json`` has all."""


class Seen:
    """Collected over structures, by kind of file."""

    def __init__(self) -> None:
        self.structures: Counter[str] = Counter()
        self.left_out: Counter[tuple[str, str, bool]] = Counter()  # kind, name, whether it is a word
        self.what: dict[tuple[str, str, bool], str] = {}
        self.tags: Counter[tuple[str, str]] = Counter()
        self.notes: Counter[tuple[str, str]] = Counter()

    @classmethod
    def of(cls, entries: Iterable[Entry | Labelled], taken: Collection[str] | None) -> Seen:
        """Of all ``entries``; see :meth:`take`."""
        seen = cls()
        for entry in entries:
            seen.take(entry, taken)
        return seen

    def take(self, entry: Entry | Labelled, taken: Collection[str] | None = None) -> None:
        """Add a structure.

        Args:
            entry: the structure.
            taken: keys of the labels that are used; the others are left out. None: labels are not asked for.
        """
        kind = entry.kind
        self.structures[kind] += 1
        for note in entry.notes:
            self.notes[kind, note] += 1
        for name, what in entry.left_out.items():
            self._leave(kind, name, what)
        if taken is None:
            return
        for name, value in entry.labels.items():
            if name not in taken and f"{OF_VIRIAL}{name}" not in taken and not name.startswith(OF_VIRIAL):
                known = entry.quantities.get(name)
                self._leave(kind, name, _what(value, known is None or known.level == "site"))
        for name, text in entry.tags.items():
            if name in taken or is_nothing(text):
                continue
            if name in ASE_QUANTITIES or meant_as_number(text):
                self._leave(kind, name, no_number(text), is_word=True)
            else:
                self.tags[kind, name] += 1

    def _leave(self, kind: str, name: str, what: str, *, is_word: bool = False) -> None:
        self.left_out[kind, name, is_word] += 1
        self.what.setdefault((kind, name, is_word), what)

    def lines(self) -> list[str]:
        """For people."""
        said = []
        for kind, total in self.structures.items():
            left = [
                f"{name} ({self.what[k, name, word]}{'' if n == total else f'; {n} of {total}'})"
                for (k, name, word), n in self.left_out.items()
                if k == kind
            ]
            tags = [name for k, name in self.tags if k == kind]
            parts = [f"seen and left out: {some(left, SHOWN)}"] if left else []
            parts += [f"kept as tags: {some(tags, SHOWN)}"] if tags else []
            start = f"{kind}: " if kind else ""
            said += [start + "; ".join(parts)] if parts else []
            said += [
                f"{start}{note}" + ("" if n == total else f" ({n} of {total} structures)")
                for (k, note), n in self.notes.items()
                if k == kind
            ]
        return said

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "seen_and_left_out": [
                {"files": kind, "name": name, "what": self.what[kind, name, word], "structures": n}
                for (kind, name, word), n in self.left_out.items()
            ],
            "kept_as_tags": [{"files": kind, "name": name, "structures": n} for (kind, name), n in self.tags.items()],
            "understood": [{"files": kind, "text": text, "structures": n} for (kind, text), n in self.notes.items()],
        }


def _what(value: Any, of_sites: bool) -> str:
    shape = np.shape(value)
    if not shape:
        return "a number"
    if of_sites:
        return "one per atom" if len(shape) == 1 else f"{shape[1]} per atom"
    return f"{' × '.join(map(str, shape))} numbers"
