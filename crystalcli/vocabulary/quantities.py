"""What a number means: its name, level, unit, and whether it grows with the crystal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

Level = Literal["structure", "site", "edge"]
Meaning = Literal["", "position"]
LEVELS: tuple[Level, ...] = ("structure", "site", "edge")


@dataclass(frozen=True)
class Quantity:
    """A labelled or predicted quantity.

    Args:
        name: key of the label, as in the file it came from.
        unit: text of the unit, ``""`` if unknown.
        level: one value per structure, site or edge.
        extensive: the value is a total that doubles with the crystal; a value per atom is not extensive.
        classes: number of classes of a classification label, 0 for a number.
        class_names: what the files call the classes, in the order of their numbers; ``()`` if they have no names.
        shape: of one value: ``()`` a number, ``(3,)`` a vector, ``(6,)`` a symmetric tensor xx, yy, zz, yz, xz, xy.
        meaning: ``"position"`` for places of atoms, (3,) per site in Å, in the cell of the structure: scales are of
            what they are moved by, errors are distances to the nearest image. Else empty.
    """

    name: str
    unit: str = ""
    level: Level = "structure"
    extensive: bool = False
    classes: int = 0
    class_names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    meaning: Meaning = ""

    @property
    def components(self) -> tuple[str, ...]:
        """What follows the name in a column of each component: ``("",)`` for a number, ``("_x", "_y", "_z")``, …."""
        if self.shape == ():
            return ("",)
        known: dict[tuple[int, ...], str] = {(3,): "x y z", (6,): "xx yy zz yz xz xy"}
        names = known.get(self.shape, "")
        return tuple(f"_{n}" for n in names.split() or range(int(prod(self.shape))))

    def per_atom(self) -> Quantity:
        """What a total is after division by the number of atoms; itself if it is no total."""
        if not self.extensive or self.level != "structure":
            return self
        return replace(self, unit=f"{self.unit}/atom" if self.unit else "", extensive=False)

    @property
    def words(self) -> tuple[str, ...]:
        """A word for every class: its name, or its number."""
        return self.class_names or tuple(str(k) for k in range(self.classes))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for caches and model files."""
        named: dict[str, Any] = {"class_names": list(self.class_names)} if self.class_names else {}
        named |= {"shape": list(self.shape)} if self.shape else {}
        named |= {"meaning": self.meaning} if self.meaning else {}
        return {
            "name": self.name,
            "unit": self.unit,
            "level": self.level,
            "extensive": self.extensive,
            "classes": self.classes,
            **named,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Quantity:
        """Build from the dictionary of :meth:`to_json`."""
        lists = {k: tuple(data.get(k, ())) for k in ("class_names", "shape")}
        return cls(**{**data, **lists})
