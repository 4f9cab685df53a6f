"""What taught a model, as its file keeps it: crystals by their hashes, or of older models ids. Loads no torch.

Ids say little: they may be other crystals in other files, and the same crystals may have others. So a model keeps the
first bytes of the hash of every structure that trained or validated it, those of the model that it began from included.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crystalcli.vocabulary.errors import InputError

KEY = "taught"
"""Where it stands in the provenance of a model."""
LENGTH = 8
"""Bytes kept of a hash: among a million crystals two agree by chance once in 30 million such models."""


@dataclass(frozen=True)
class Taught:
    """Structures that trained or validated a model, or one that it began from.

    Args:
        crystals: the first bytes of their hashes (``structures/sha256`` of a cache).
        ids: of those of which nothing else is known.
        names: ids of all, of the last training at least.
    """

    crystals: frozenset[bytes] = frozenset()
    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Self:
        """As a model file says; an older one has ids only.

        Raises:
            InputError: it says what cannot be.
        """
        split = provenance.get("split", {})
        names = frozenset(str(name) for part in ("train", "val") for name in split.get(part, ()))
        known = provenance.get(KEY)
        if known is None:
            return cls(ids=names, names=names)
        try:
            raw, ids = base64.b64decode(known["crystals"]), frozenset(map(str, known.get("ids", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise InputError(f"damaged model: what taught it is not said as it should be: {problem}") from problem
        return cls(frozenset(raw[k : k + LENGTH] for k in range(0, len(raw), LENGTH)), ids, names)

    @classmethod
    def by(cls, hashes: NDArray[np.uint8]) -> Self:
        """By the hashes, (S, 32), of the structures."""
        return cls(frozenset(row.tobytes()[:LENGTH] for row in hashes))

    def __or__(self, other: Taught) -> Taught:
        """What taught either."""
        return Taught(self.crystals | other.crystals, self.ids | other.ids, self.names | other.names)

    def to_json(self) -> dict[str, Any]:
        """For the provenance of a model, where the ids of its own training stand already."""
        found = {"crystals": base64.b64encode(b"".join(sorted(self.crystals))).decode()}
        return found | ({"ids": sorted(self.ids)} if self.ids else {})

    @property
    def how(self) -> str:
        """What structures are compared by, in words."""
        return "by their crystals" if not self.ids else "by their ids" if not self.crystals else "by crystals or ids"

    @property
    def doubt(self) -> str:
        """What is to be said where errors of the model are told; nothing of one that keeps all hashes."""
        if not self.ids:
            return ""
        some = "some of " if self.crystals else ""
        return f"keeps ids only of {some}what taught it: the same structures under other ids are not noticed"

    def knows(self, crystal: bytes, name: str, caches: Iterable[str] = ()) -> bool:
        """Whether a structure is one of them.

        Args:
            crystal: its hash.
            name: its id.
            caches: names of the caches that it may come from; where several had an id, it was called ``CACHE:ID``.
        """
        return crystal[:LENGTH] in self.crystals or bool(self.ids and spellings(name, caches) & self.ids)

    def number_known(self, hashes: NDArray[np.uint8], names: Sequence[str], caches: Collection[str]) -> int:
        """How many of structures with these hashes and ids are among them."""
        return sum(self.knows(row.tobytes(), name, caches) for row, name in zip(hashes, names, strict=True))


def spellings(name: str, caches: Iterable[str]) -> set[str]:
    """An id as it is, and with and without the name of a cache before it, and without ``#2`` of ids kept apart."""
    whole, mark, number = name.rpartition("#")
    bare = {name, whole} if mark and number.isdecimal() else {name}
    return bare | {s for c in caches for n in bare for s in (f"{c}:{n}", n.removeprefix(f"{c}:"))}
