"""What a number means: its name, level, unit, and whether it grows with the crystal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
        class_names: what the files call the classes, in the order of their numbers; ``()`` if they have no names.
    """

    name: str
    unit: str = ""
    level: Level = "structure"
    extensive: bool = False
    classes: int = 0
    class_names: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """A word for every class: its name, or its number."""
        return self.class_names or tuple(str(k) for k in range(self.classes))

    def to_json(self) -> dict[str, str | bool | int | list[str]]:
        """Plain dictionary for caches and model files."""
        named: dict[str, list[str]] = {"class_names": list(self.class_names)} if self.class_names else {}
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
        return cls(**{**data, "class_names": tuple(data.get("class_names", ()))})
