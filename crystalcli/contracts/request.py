"""What a workflow is asked: its options, the parts that they choose, where its results go. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crystalcli.contracts import options as opt


@dataclass(frozen=True)
class Chosen:
    """A part that an option of a workflow chose: its name and the values of its own options."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What is asked of a workflow.

    Args:
        options: of the workflow, an object of its options model.
        parts: what its options chose, by the option's name; nothing where an option names a file.
        path: folder of the run.
        overwrite: files that are there may be replaced; for workflows without a run folder, whose files are their own.
        dry_run: only what would be done is asked (``--dry-run``): nothing long need begin.
    """

    options: Any
    parts: Mapping[str, Chosen] = field(default_factory=dict)
    path: Path = Path()
    overwrite: bool = False
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values of options and parts; the folder, and how it is asked, are no part of what is asked."""
        parts = {k: {"name": c.name, "options": dict(c.options)} for k, c in self.parts.items()}
        return {"options": opt.to_dict(self.options), "parts": parts}

    @classmethod
    def from_json(cls, model: type, data: Mapping[str, Any], path: Path) -> Request:
        """The inverse of :meth:`to_json`.

        Raises:
            UsageError: not of these options.
        """
        parts = {k: Chosen(c["name"], c["options"]) for k, c in data["parts"].items()}
        return cls(opt.make(model, data["options"], owner="the run"), parts, path)

    def differs(self, other: Request, free: frozenset[str]) -> list[str]:
        """Names of the options, a part's included, that are not those of ``other`` and not ``free``."""
        one, two = (_flat(r.to_json()) for r in (self, other))
        return sorted(k for k in one.keys() | two.keys() if k not in free and one.get(k) != two.get(k))


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(data["options"])
    names = [part["name"] for part in data["parts"].values()]
    for key, part in data["parts"].items():
        name = part["name"] if names.count(part["name"]) == 1 else f"{key}-{part['name']}"
        found |= {f"{name}.{k}": v for k, v in part["options"].items()}
    return found
