"""Which installed reader claims a file: plugins first, by ending and content, then the built-in formats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from crystalcli.contracts.records import Reader
from crystalcli.engine.read.given import sound
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import looks_readable, regular
from crystalcli.vocabulary.errors import CrystalError, InputError, what_happened

CODE = "reader-error"
"""Of what a reader does wrong."""


@dataclass(frozen=True)
class Claim:
    """Who reads a file.

    Args:
        reader: of a plugin; none for the built-in formats.
        said: a line on every reader that was asked and failed; the next one was asked.
    """

    reader: Reader | None = None
    said: tuple[str, ...] = ()


def claimed_by(path: Path) -> Claim:
    """The plugin reader that knows this file, or none.

    Raises:
        InputError: no regular file, whose content a reader would wait for.
    """
    registered = registry()
    name = path.name.lower()
    said: list[str] = []
    for reader_name in registered.names("reader"):
        reader = cast(Reader, registered.get("reader", reader_name))
        if not name.endswith(reader.suffixes):
            continue
        regular(path)
        try:
            with staying():
                known = reader.sniff(path)
        except CrystalError:
            raise
        except (Exception, SystemExit) as problem:  # costs this reader only
            did = "" if isinstance(problem, SystemExit) else "raises "
            said.append(f"{called(reader)} was left out: its sniff {did}{what_happened(problem)}")
            continue
        if known:
            return Claim(reader, tuple(said))
    return Claim(None, tuple(said))


def called(reader: Reader) -> str:
    """``reader 'x' of plugin Y 1.0``."""
    return f"reader '{reader.name}' of plugin {registry().origin('reader', reader.name)}"


def read_by(reader: Reader, path: Path) -> Iterator[Entry | InputError]:
    """What a plugin's reader makes of a file.

    Raises:
        CrystalError: its own. InputError: it fails, or gives something else; names the plugin.
    """
    who = called(reader)
    try:
        for item in reader.read(path):
            yield sound(item, who, str(path), CODE)
    except (CrystalError, OSError, RecursionError, MemoryError):
        raise
    except (Exception, SystemExit) as problem:
        raise InputError(f"{who} fails: {what_happened(problem)}", code=CODE) from problem


def found_in_folder(path: Path) -> bool:
    """Whether a file met in a folder is meant as structures; one that a plugin chokes on is, so that it is reported."""
    if looks_readable(path):
        return True
    if not path.is_file():
        return False
    try:
        return claimed_by(path) != Claim()
    except CrystalError:  # reading the file says it
        return True
