"""Which installed reader claims a file: plugins first, by ending and content, then the built-in formats."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from crystalcli.contracts.records import Reader
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.nouns.structures.formats import looks_readable, regular


def claimed_by(path: Path) -> Reader | None:
    """The plugin reader that knows this file, or none.

    Raises:
        InputError: no regular file, whose content a reader would wait for.
    """
    registered = registry()
    name = path.name.lower()
    for reader_name in registered.names("reader"):
        reader = cast(Reader, registered.get("reader", reader_name))
        if name.endswith(reader.suffixes):
            regular(path)
            if reader.sniff(path):
                return reader
    return None


def found_in_folder(path: Path) -> bool:
    """Whether a file met in a folder is meant as structures; one that a plugin chokes on is, so that it is reported."""
    if looks_readable(path):
        return True
    if not path.is_file():
        return False
    try:
        return claimed_by(path) is not None
    except Exception:  # whatever a plugin does; reading the file names it
        return True
