"""What a number means: its name, level, unit, and whether it grows with the crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["structure", "site", "edge"]
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
    """

    name: str
    unit: str = ""
    level: Level = "structure"
    extensive: bool = False
    classes: int = 0

    def to_json(self) -> dict[str, str | bool | int]:
        """Plain dictionary for caches and model files."""
        return {
            "name": self.name,
            "unit": self.unit,
            "level": self.level,
            "extensive": self.extensive,
            "classes": self.classes,
        }
