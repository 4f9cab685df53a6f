"""A CIF text → its data blocks that hold atoms; a broken block costs no other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from gemmi import cif

from crystalcli.nouns.structures.cif_faults import explain
from crystalcli.vocabulary.errors import InputError

_SITE_TAGS = ("_atom_site_fract_x", "_atom_site_label", "_atom_site_type_symbol", "_atom_site_cartn_x")
_SITE_TAG = re.compile("|".join(_SITE_TAGS), re.IGNORECASE)
_ANY_TAG = re.compile(r"^[ \t]*_\S", re.MULTILINE)
_EDGE = re.compile(r"^(?:;|[ \t]*data_\S*)", re.MULTILINE | re.IGNORECASE)
_HEADER = re.compile(r"^[ \t]*data_\S*", re.MULTILINE | re.IGNORECASE)
_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:#[^\n]*)?")
_UNKNOWN = ("?", ".")
_PLAIN = {0xA0: " ", 0x2009: " ", 0x202F: " ", 0xFEFF: None, 0x200B: None, 0x2212: "-"}
"""Blanks and minus signs of web pages and word processors, and marks without width: CIF knows ASCII only."""


@dataclass(frozen=True)
class Blocks:
    """What a CIF text holds.

    Args:
        found: the blocks with atoms, in order, a broken one as its error.
        warnings: what is said of blocks without atoms that are left out although somebody may look for them.
    """

    found: list[cif.Block | InputError]
    warnings: list[str]


@dataclass(frozen=True)
class Broken:
    """A block that is no CIF: its header, whether it may hold atoms, and what is wrong with it."""

    name: str
    has_atoms: bool
    error: InputError


def blocks(text: str, path: Path | None = None) -> Blocks:
    """Blocks of a CIF that hold atoms; each is parsed by itself if the whole does not parse.

    Raises:
        InputError: syntax errors and no other block to read (with the line), mmCIF, or no block with atoms.
    """
    plain = text if text.isascii() else text.translate(_PLAIN).encode("ascii", errors="backslashreplace").decode()
    try:
        pieces: list[cif.Block | Broken] = list(cif.read_string(plain))
    except (ValueError, RuntimeError):
        pieces = _one_by_one(plain, path)
    found: list[cif.Block | InputError] = []
    warnings: list[str] = []
    for piece in pieces:
        if isinstance(piece, Broken):
            if piece.has_atoms:
                found.append(piece.error)
            else:
                warnings.append(f"{piece.name} cannot be read and is left out; it has no atoms ({_place(piece.error)})")
            continue
        column = next((c for c in map(piece.find_values, _SITE_TAGS) if c), None)
        if column is None:
            continue
        if len(column) and column[0] in _UNKNOWN and _is_placeholder(piece):
            warnings.append(f"data_{piece.name.strip()} has no atoms: its only sites are '?'; left out")
        else:
            found.append(piece)
    if len(found) == 1 and isinstance(found[0], InputError):
        raise found[0]
    if not found:
        raise _no_structure(pieces, path)
    return Blocks(found, warnings)


def cut(text: str, *, fields: bool = True) -> list[tuple[int, str]]:
    """The text of each data block and the number of lines before it; what stands before the first comes first.

    A ``data_`` inside a text field begins no block; a text field that is never closed ends with its block.

    Args:
        text: of a CIF.
        fields: whether there are text fields; without them every line that begins so begins a block.
    """
    begins, field = [0], None
    for match in _EDGE.finditer(text):
        if match[0] == ";":
            field = match.start() if field is None and fields else None
        elif field is None:
            begins.append(match.start())
    if field is not None:
        begins += [m.start() for m in _HEADER.finditer(text, field)]
    pieces = [text[a:b] for a, b in zip(begins, [*begins[1:], len(text)], strict=True)]
    before = [0, *accumulate(piece.count("\n") for piece in pieces)]
    return list(zip(before, pieces, strict=False))


def _one_by_one(text: str, path: Path | None) -> list[cif.Block | Broken]:
    """Blocks of a text that does not parse as a whole.

    A text field that is not closed turns what is inside and outside of all that follow; the way to cut that gives more
    blocks with atoms is right then.
    """
    ways = [list(_parsed(cut(text, fields=fields), path)) for fields in (True, False)]
    return max(ways, key=lambda way: sum(isinstance(b, cif.Block) and _has_sites(b) for b in way))


def _parsed(pieces: list[tuple[int, str]], path: Path | None) -> Iterator[cif.Block | Broken]:
    count: Counter[str] = Counter()
    for lines, piece in pieces:
        if _COMMENTS.fullmatch(piece):
            continue
        try:
            document = cif.read_string(piece)
        except (ValueError, RuntimeError) as problem:
            name = piece.split(maxsplit=1)[0]
            named = name.lower().startswith("data_")
            needed = (_SITE_TAG if named else _ANY_TAG).search(piece) is not None
            error = explain(str(problem), piece.split("\n"), lines, path)
            yield Broken(name if named else "what stands before the first data_", needed, error)
            continue
        for block in document:
            count[block.name.lower()] += 1
            if count[block.name.lower()] > 1:
                block.name += f"_{count[block.name.lower()]}"
            yield block


def _has_sites(block: cif.Block) -> bool:
    return any(block.find_values(t) for t in _SITE_TAGS)


def _place(error: InputError) -> str:
    return f"line {error.line}: {error.reason.removeprefix('not a CIF: ')}"


def _is_placeholder(block: cif.Block) -> bool:
    """Whether nothing is known of any site, as in templates and in blocks that tell of a cell only."""
    columns = [block.find_values(t) for t in (*_SITE_TAGS, "_atom_site_fract_y", "_atom_site_fract_z")]
    return all(value in _UNKNOWN for column in columns for value in column)


def _no_structure(pieces: list[cif.Block | Broken], path: Path | None) -> InputError:
    broken = next((p.error for p in pieces if isinstance(p, Broken)), None)
    if broken is not None:
        return broken
    blocks = [b for b in pieces if isinstance(b, cif.Block)]
    if not blocks:
        return InputError("no data block", path=path, code="no-data")
    if any(b.find_values("_atom_site.Cartn_x") or b.find_values("_cell.length_a") for b in blocks):
        return InputError(
            "looks like mmCIF, for macromolecules; crystal reads small-molecule CIF", path=path, code="mmcif"
        )
    if any(map(_has_sites, blocks)):
        return InputError("has no atoms: its only sites are '?'", path=path, code="no-atoms")
    return InputError("no atom loop (_atom_site_…)", path=path, code="no-atoms")
