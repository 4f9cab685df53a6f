"""What of its surroundings can keep the program from working, or from working well; with the cure of each.

Looks, and changes nothing but for a file in the temporary folder, one in the current folder and one where models by
name are kept, which are gone again.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crystalcli.engine.registry.plugin_loading import CORE
from crystalcli.engine.registry.plugin_manager import named, registry
from crystalcli.engine.run import hardware, owners
from crystalcli.engine.run.hardware import FAILED, OK, WARNING, Finding
from crystalcli.engine.run.models_folder import models_folder
from crystalcli.engine.run.places import cores
from crystalcli.engine.run.run_folder import versions

LITTLE, SOME = 0.2, 2.0
"""GB free on a disk below which nothing can be written for long, and below which a warning is due."""
DEEP = 4
"""Folders below the current one in which locks are looked for."""


def findings(more: Sequence[tuple[str, Callable[[], Iterator[Finding]]]] = ()) -> Iterator[Finding]:
    """Everything, each as it is found; what cannot be looked at is a finding, too.

    Args:
        more: what and how, of those who know of things that are not known here.
    """
    looks = {
        "python": python,
        "packages": packages,
        "torch": hardware.torch_works,
        "gpu": hardware.gpu,
        "threads": hardware.threads,
        "memory": hardware.memory,
        "plugins": plugins,
        "disk": disk,
        "locks": locks,
        "data": data,
    }
    for what, look in [*looks.items(), *more]:
        try:
            yield from look()
        except Exception as problem:  # it says something of the surroundings, whatever it is
            yield Finding(what, FAILED, f"cannot be looked at: {type(problem).__name__}: {problem}")


def facts() -> dict[str, Any]:
    """What a report of a bug should say: versions, machine, plugins."""
    others = sorted({str(p.origin) for p in registry().plugins if not p.origin.builtin})
    return {
        **versions(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": cores(),
        "environment": sys.prefix,
        "torch device": hardware.torch_device(),
        "plugins": others,
        "broken plugins": dict(registry().broken),
        "optional packages": _optional(),
    }


def python() -> Iterator[Finding]:
    """The interpreter, and whether the environment is one of its own."""
    said = f"Python {platform.python_version()} in {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        cure = "python3 -m venv .venv, and install there: other programs' packages cannot get in the way"
        yield Finding("python", WARNING, f"{said}, which is no environment of its own", cure)
    else:
        yield Finding("python", OK, said)


def packages() -> Iterator[Finding]:
    """Whether what the program needs is there, and new enough."""
    from packaging.requirements import Requirement

    try:
        wanted = importlib.metadata.requires(CORE) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages", FAILED, f"{CORE} is not installed, only on the path", "pip install -c constraints.txt ."
        )
        return
    bad = []
    needed = [r for r in map(Requirement, wanted) if r.marker is None or r.marker.evaluate({"extra": ""})]
    for one in needed:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            bad.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(version, prereleases=True):
            bad.append(f"{one.name} is {version}, not {one.specifier}")
    if bad:
        yield Finding("packages", FAILED, "; ".join(bad), f"pip install --upgrade -c constraints.txt {CORE}")
    else:
        yield Finding("packages", OK, f"all {len(needed)} are there")
    if there := _optional():
        yield Finding("packages", OK, "optional: " + ", ".join(f"{k} {v}" for k, v in there.items()))


def _optional() -> dict[str, str]:
    """Packages of extras that are there."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires(CORE) or []]
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = {}
    for one in wanted:
        if one.marker is None or one.marker.evaluate({"extra": ""}) or "dev" in str(one.marker):
            continue
        try:
            found[one.name] = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def plugins() -> Iterator[Finding]:
    """What is broken, slow, or called like another."""
    known = registry()
    others = [p for p in known.plugins if not p.origin.builtin]
    for name, why in sorted(known.broken.items()):
        yield Finding("plugins", FAILED, f"{name}: {why}", "update or remove it; --no-plugins leaves all out")
    for clash in known.clashes:
        yield Finding("plugins", WARNING, clash)
    for one in others:
        for note in one.notes:
            yield Finding("plugins", WARNING, f"{one.origin}: {note}", "every command pays for it: tell its author")
    for origin in named():
        if "/" in origin.target and not Path(origin.target).exists():
            yield Finding("plugins", FAILED, f"CRYSTAL_PLUGINS names {origin.target}, which is not there", "correct it")
    n = sum(not p.problem for p in others)
    yield Finding(
        "plugins", OK, f"{len(known.parts)} parts; {n} plugins of others" if n else f"{len(known.parts)} parts"
    )


def disk() -> Iterator[Finding]:
    """Whether the current and the temporary folder can be written, how much is free, and whether they have locks."""
    for what, folder in (("current folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free / 1e9
        said = f"{what} {folder}: {free:.1f} GB free"
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".crystal-doctor.") as file:
                file.write(b"x")
                file.flush()
                locks_here = owners.lock_by_kernel(file.fileno())
                links = _links(Path(file.name))
        except OSError as problem:
            cure = "run elsewhere, or write there with -o" if what[0] == "c" else "export TMPDIR=FOLDER"
            yield Finding("disk", FAILED, f"{said}, and it cannot be written: {problem.strerror}", cure)
            continue
        lacks = [word for word, has in (("locks", locks_here), ("hard links", links)) if not has]
        if free < SOME:
            state = FAILED if free < LITTLE else WARNING
            yield Finding("disk", state, said, "make room: crystal runs says how large each run is")
        elif lacks and what[0] == "c":
            cure = "runs are safe there, but a dead one on another machine is waited for for a minute"
            yield Finding("disk", WARNING, f"{said}; its file system has no {' and no '.join(lacks)}", cure)
        else:
            yield Finding("disk", OK, said)


def _links(path: Path) -> bool:
    other = path.with_name(f"{path.name}.link")
    try:
        os.link(path, other)
    except OSError:
        return False
    other.unlink()
    return True


def locks() -> Iterator[Finding]:
    """Locks below the current folder: of the living, and of the dead."""
    held = 0
    dead: list[tuple[Path, owners.Owner, bool | None]] = []
    for name in _locks_below(Path(), DEEP):
        try:
            owner = owners.read(name)
            alive = None if owner is None else owners.seen(name, owner)
        except Exception as problem:  # a link, or another user's
            yield Finding("locks", WARNING, f"{name}: {problem}")
            continue
        if alive:
            held += 1
        elif owner is not None:
            dead.append((name, owner, alive))
    for name, owner, alive in dead:
        who = f"{owner}, which died" if alive is False else f"{owner}, of which there is no sign"
        cure = "the next command that writes there removes it" if alive is False else "look whether it runs there"
        yield Finding("locks", WARNING, f"{name} is of {who}", cure)
    yield Finding("locks", OK, f"{held} held by running commands" if held else "no command is running here")


def _locks_below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
    except OSError:
        return
    for entry in entries:
        if entry.name[:1] == "." and entry.name.endswith(".lock"):
            yield Path(entry.path)
        elif depth > 1 and entry.name[:1] != "." and entry.is_dir(follow_symlinks=False):
            yield from _locks_below(Path(entry.path), depth - 1)


def data() -> Iterator[Finding]:
    """Variables that name folders of data, and whether models by name can be kept."""
    for name, what in (("CRYSTAL_DATA", "data of examples and tests"), ("XDG_DATA_HOME", "models by name")):
        if (text := os.environ.get(name)) is None:
            continue
        said, cure = f"{name}={text} ({what})", f"correct it, or unset {name}"
        if not Path(text).is_dir():
            yield Finding("data", WARNING, f"{said} is no folder", cure)
        elif name == "XDG_DATA_HOME" and not Path(text).is_absolute():
            yield Finding("data", WARNING, f"{said} is no absolute path, and not used", cure)
        else:
            yield Finding("data", OK, said)
    place = models_folder()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".crystal-doctor.") as file:
            file.write(b"x")
            file.flush()
    except OSError as problem:
        said = f"models by name cannot be kept in {place}: {problem.strerror}"
        yield Finding("data", WARNING, said, "let XDG_DATA_HOME name a folder that can be written")
