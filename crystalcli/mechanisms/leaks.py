"""What the test part of a split shares with the training part and should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crystalcli.mechanisms.splits import Split


@dataclass(frozen=True)
class Leak:
    """Something that two parts share.

    Args:
        kind: structure, formula or run.
        parts: the two.
        n: structures of the second part that are touched.
        example: one of them, by id.
    """

    kind: str
    parts: tuple[str, str]
    n: int
    example: str

    def line(self) -> str:
        """One line for people."""
        a, b = self.parts
        what = {
            "structure": f"are exact copies of {a} structures",
            "formula": f"have the formula of a {a} structure",
            "run": f"come from a run that {a} structures come from too",
        }[self.kind]
        return f"{self.n} {b} structures {what} (e.g. {self.example})"

    def to_json(self) -> dict[str, object]:
        """Plain dictionary."""
        return {"kind": self.kind, "parts": list(self.parts), "n": self.n, "example": self.example}


def find(split: Split, ids: Sequence[str], keys: dict[str, NDArray[np.int64]]) -> list[Leak]:
    """Leaks of every kind between every two parts.

    Args:
        split: the split.
        ids: names of all structures.
        keys: for every kind (structure, formula, run) a number of every structure; equal numbers are the same thing.
    """
    found = []
    for kind, key in keys.items():
        for (a, first), (b, second) in combinations(split.parts().items(), 2):
            shared = second[np.isin(key[second], key[first])]
            if len(shared):
                found.append(Leak(kind, (a, b), len(shared), ids[int(shared[0])]))
    return found


def numbered(texts: Sequence[str] | NDArray[np.uint8]) -> NDArray[np.int64]:
    """A number for every text or row of bytes, equal where they are equal."""
    rows = np.asarray(texts)
    if rows.ndim == 2:
        rows = np.ascontiguousarray(rows).view(f"V{rows.shape[1]}").ravel()
        known: dict[bytes, int] = {}
        return np.array([known.setdefault(r.tobytes(), len(known)) for r in rows], dtype=np.int64)
    inverse: NDArray[np.int64] = np.unique(rows, return_inverse=True)[1]
    return inverse
