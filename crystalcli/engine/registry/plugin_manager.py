"""Finds plugins, has each one loaded alone, and keeps their parts by family and name.

Where plugins come from: the entry points of group ``crystal`` of installed distributions; the modules, files and
folders named in ``CRYSTAL_PLUGINS``; the one-file plugins of the user's folder. ``--no-plugins`` (or
``CRYSTAL_NO_PLUGINS=1``) leaves only what comes with crystal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

from crystalcli.contracts import hookspecs
from crystalcli.contracts.records import Part
from crystalcli.engine.registry.plugin_loading import CORE, Loaded, Origin, load
from crystalcli.vocabulary.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class OfferedPart:
    """A part and where it comes from."""

    part: Part
    origin: Origin

    @property
    def distribution(self) -> str:
        """Name of the distribution, or the path of a one-file plugin."""
        return self.origin.distribution

    @property
    def version(self) -> str:
        """Version of the distribution, empty for a one-file plugin."""
        return self.origin.version


@dataclass
class Registry:
    """All parts that can be used, and what is wrong with the rest.

    Args:
        parts: by family and name.
        refused: parts that are there but cannot be used (two owners, wrong record) → why.
        plugins: every plugin that was found, broken ones too.
        clashes: a line on each part that is called like a built-in one.
    """

    parts: dict[tuple[str, str], OfferedPart] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    plugins: list[Loaded] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> dict[str, str]:
        """What is broken or refused, by the plugin it concerns → why; one warning line of every command."""
        found = {str(p.origin): p.problem for p in self.plugins if p.problem}
        for p in self.plugins:
            for family, name, reason in p.bad_parts:
                found[f"{p.origin} ({family} {name})"] = reason
        return found

    def names(self, family: str) -> list[str]:
        """Names of the parts of ``family`` that can be used."""
        return sorted(n for f, n in self.parts if f == family)

    def default(self, family: str) -> str:
        """Name of the part that is taken where none of ``family`` is named.

        Raises:
            UsageError: none of them is the default.
        """
        for (of, name), offered in self.parts.items():  # built-ins come first
            if of == family and offered.part.default:
                return name
        raise UsageError(f"no {family} is the default; name one: {', '.join(self.names(family)) or 'there is none'}")

    def leading_to(self, word: str) -> list[str]:
        """Names of the architectures whose own head provides ``word``, such as ``energy``."""
        heads = {n for (f, n), o in self.parts.items() if f == "head" and word in o.part.provides}
        return [
            n for n in self.names("architecture") if getattr(self.parts["architecture", n].part, "head", "") in heads
        ]

    def offered(self) -> list[OfferedPart]:
        """All parts that can be used, by family and name."""
        return [self.parts[k] for k in sorted(self.parts)]

    def origin(self, family: str, name: str) -> Origin:
        """Where a part comes from. Raises like :meth:`get`."""
        self.get(family, name)
        return self.parts[family, name].origin

    def get(self, family: str, name: str) -> Part:
        """The part called ``name``.

        Raises:
            UsageError: there is none, or it cannot be used; says why, or what is near.
        """
        if (family, name) in self.refused:
            raise UsageError(f"{family} '{name}': {self.refused[family, name]}")
        if (family, name) not in self.parts:
            raise UsageError(f"no {family} '{name}'; {did_you_mean(name, self.names(family))}{self.broken_hint()}")
        return self.parts[family, name].part

    def needed(self, plugins: Mapping[str, str], family: str, name: str) -> Part:
        """The part called ``name`` of a file that says which plugins made it.

        Args:
            plugins: ``"family name"`` → ``"distribution version"``, as :meth:`requirements` wrote it.
            family: of the part.
            name: of the part.

        Raises:
            UsageError: ``needs plugin X >= 1.2 (pip install X)`` where it is missing or older, or as :meth:`get`.
        """
        wanted = plugins.get(f"{family} {name}", "")
        distribution, _, version = (wanted, "", "") if "/" in wanted else wanted.partition(" ")
        at_least = f" >= {version}" if version else ""
        if (family, name) in self.parts or (family, name) in self.refused or not wanted:
            part, here = self.get(family, name), self.parts[family, name].origin
            if here.distribution == distribution and _older(here.version, version):
                raise UsageError(
                    f"needs plugin {distribution}{at_least} for {family} '{name}', version {here.version} is installed "
                    f"(pip install '{distribution}{at_least.replace(' ', '')}')"
                )
            return part
        cure = f"put {distribution} into CRYSTAL_PLUGINS" if "/" in distribution else f"pip install {distribution}"
        raise UsageError(f"needs plugin {distribution}{at_least} for {family} '{name}' ({cure}){self.broken_hint()}")

    def requirements(self, parts: Iterable[tuple[str, str]]) -> dict[str, str]:
        """What a file made with ``parts`` needs: ``"family name"`` → ``"distribution version"``."""
        return {f"{f} {n}": str(self.origin(f, n)) for f, n in parts}

    def broken_hint(self) -> str:
        """What is said behind a name that nobody has: it may be of a plugin that is broken."""
        if not self.broken:
            return ""
        return "; broken: " + "; ".join(f"{k}: {v}" for k, v in sorted(self.broken.items()))


def _older(version: str, wanted: str) -> bool:
    """Whether ``version`` comes before ``wanted``; what is no version is not older."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) < Version(wanted)
    except InvalidVersion:
        return False


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Load every plugin once."""
    return assemble(load(origin) for origin in find())


def load_file(path: Path) -> Loaded:
    """Load a one-file plugin that need not be in ``CRYSTAL_PLUGINS``."""
    return load(_file(path))


def use_only_builtins() -> None:
    """Leave only what comes with crystal, in this process and in those it starts."""
    os.environ["CRYSTAL_NO_PLUGINS"] = "1"
    registry.cache_clear()


def assemble(loaded: Iterable[Loaded]) -> Registry:
    """Sort the parts of all plugins; built-ins come first.

    A name that crystal has keeps crystal's part; one that several others offer belongs to none of them. Each of those
    can be had by ``PLUGIN:NAME``, under which it is listed and saved in models.
    """
    found = Registry()
    first: dict[tuple[str, str], OfferedPart] = {}
    for plugin in loaded:
        found.plugins.append(plugin)
        for family, name, reason in plugin.bad_parts:
            found.refused[family, name] = f"{plugin.origin} offers it, but {reason}"
        for part in plugin.parts:
            key, offered = (part.family, part.name), OfferedPart(part, plugin.origin)
            if key not in first:
                first[key] = offered
                if key in found.refused:
                    found.refused[key] += f"; {plugin.origin} offers it too"
                else:
                    found.parts[key] = offered
                continue
            _beside(found, first[key], offered)
    return found


def _beside(found: Registry, first: OfferedPart, second: OfferedPart) -> None:
    """A name is offered once more: built-ins keep it, and others get names with their plugin's."""
    key = first.part.family, first.part.name
    if first.origin == second.origin or first.origin.distribution == second.origin.distribution:
        found.parts.pop(key, None)
        found.refused[key] = f"{first.origin} offers it twice ({first.origin.target} and {second.origin.target})"
        return
    theirs = _with_plugin(found, second)
    if first.origin.builtin:
        said = f"{key[0]} '{key[1]}' of {second.origin} is called like crystal's own, which is used"
        found.clashes.append(f"{said}; theirs is '{theirs}'")
        return
    if found.parts.pop(key, None) is not None:
        _with_plugin(found, first)
        found.refused[key] = f"both {first.origin} and {second.origin} offer it; say which: {_qualified(first)}"
    found.refused[key] += f" or {theirs}"


def _with_plugin(found: Registry, offered: OfferedPart) -> str:
    """Offer a part under ``PLUGIN:NAME`` only; returns that name."""
    name = _qualified(offered)
    found.parts[offered.part.family, name] = OfferedPart(replace(offered.part, name=name), offered.origin)
    return name


def _qualified(offered: OfferedPart) -> str:
    return f"{offered.origin.name}:{offered.part.name}"


def find() -> list[Origin]:
    """All plugins there are, in a fixed order: built-ins, installed ones, ``CRYSTAL_PLUGINS``, the user's folder."""
    from importlib.metadata import entry_points  # loads Python's mail package; help of the program needs neither

    entries = sorted(entry_points(group=hookspecs.GROUP), key=lambda e: (e.name, e.value))
    installed = []
    known: dict[int, tuple[str, str]] = {}  # of each distribution once: its name is parsed anew whenever it is asked
    for e in entries:
        if e.dist is not None and id(e.dist) not in known:
            known[id(e.dist)] = e.dist.name, e.dist.version
        distribution, version = known[id(e.dist)] if e.dist else (e.value, "")
        installed.append(Origin(e.name, e.value, distribution, version, e))
    installed.sort(key=lambda o: (not o.builtin, o.distribution, o.name))
    if os.environ.get("CRYSTAL_NO_PLUGINS"):
        return [o for o in installed if o.builtin]
    extra: dict[str, Origin] = {}
    for item in [*named(), *_folder(user_folder())]:
        extra.setdefault(item.target, item)
    return [*installed, *extra.values()]


@cache
def own_workflows() -> dict[str, str]:
    """Commands of the packages that come with the program, which names none of them: name → ``MODULE:RECORD``.

    Their entry points say so once more, so that no package is loaded to learn whether it brings a command.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return {e.name: e.value for e in distribution(CORE).entry_points if e.group == hookspecs.WORKFLOWS}
    except PackageNotFoundError:
        return {}


def announced_workflows() -> dict[str, str]:
    """Commands that other distributions say they bring, and what each of them is; nothing is loaded for it."""
    import importlib.metadata

    if os.environ.get("CRYSTAL_NO_PLUGINS"):
        return {}
    entries = importlib.metadata.entry_points(group=hookspecs.WORKFLOWS)
    others = [e for e in entries if e.dist is not None and e.dist.name != CORE]
    return {e.name: (e.dist.metadata["Summary"] or e.dist.name) if e.dist else "" for e in others}


def named() -> list[Origin]:
    """Plugins named in ``CRYSTAL_PLUGINS``: modules, ``.py`` files, folders of such; commas or the path separator."""
    text = os.environ.get("CRYSTAL_PLUGINS", "")
    found: list[Origin] = []
    for word in (w.strip() for piece in text.split(",") for w in piece.split(os.pathsep)):
        path = Path(word).expanduser() if word else None
        if path is None:
            continue
        if path.is_dir():
            found += _folder(path)
        elif path.suffix == ".py" or "/" in word:
            found.append(_file(path))
        else:
            found.append(Origin(word, word, word))
    return found


def user_folder() -> Path | None:
    """``$XDG_CONFIG_HOME/crystal/plugins``, usually ``~/.config/crystal/plugins``; none where that is no full name.

    A relative one would lead into the current folder; the standard of these variables says to ignore it.
    """
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        found = (base if base.is_absolute() else Path.home() / ".config") / "crystal" / "plugins"
    except RuntimeError:  # no home folder at all
        return None
    return found if found.is_absolute() else None


def _folder(path: Path | None) -> list[Origin]:
    """The one-file plugins of a folder, by name."""
    try:
        files = sorted(path.glob("*.py")) if path is not None else []
    except OSError:
        return []
    return [_file(p) for p in files if not p.name.startswith((".", "_"))]


def _file(path: Path) -> Origin:
    return Origin(path.stem, str(path.absolute()), str(path.absolute()))
