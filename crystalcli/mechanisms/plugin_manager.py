"""Finds plugins, loads each one alone, and keeps their parts by family and name."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass, field
from functools import lru_cache

import pluggy

from crystalcli.contracts import hookspecs
from crystalcli.contracts.records import API_VERSION, FAMILIES, Part
from crystalcli.vocabulary.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Offered:
    """A part and the distribution that offers it."""

    part: Part
    distribution: str
    version: str


@dataclass
class Registry:
    """All parts that could be loaded, and what went wrong with the rest."""

    parts: dict[tuple[str, str], Offered] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def names(self, family: str) -> list[str]:
        """Names of the parts of ``family``."""
        return sorted(n for f, n in self.parts if f == family)

    def get(self, family: str, name: str) -> Part:
        """The part called ``name``.

        Raises:
            UsageError: there is none; says what is near.
        """
        if (family, name) not in self.parts:
            raise UsageError(f"no {family} '{name}'; {did_you_mean(name, self.names(family))}")
        return self.parts[family, name].part


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Load every installed plugin once."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    found = Registry()
    for entry in importlib.metadata.entry_points(group=hookspecs.GROUP):
        dist = entry.dist
        name, version = (dist.name, dist.version) if dist else (entry.value, "")
        try:
            plugin = entry.load()
            manager.register(plugin, entry.name)
            for part in plugin.crystal_parts():
                _add(found, Offered(part, name, version))
        except Exception as problem:  # one broken plugin must not stop the rest
            found.broken[entry.name] = f"{type(problem).__name__}: {problem}"
    return found


def _add(found: Registry, offered: Offered) -> None:
    part = offered.part
    if part.api != API_VERSION:
        raise UsageError(f"part '{part.name}' wants plugin api {part.api}, this crystal has {API_VERSION}")
    if part.family not in FAMILIES:
        raise UsageError(f"part '{part.name}' is of unknown family '{part.family}'")
    found.parts[part.family, part.name] = offered
