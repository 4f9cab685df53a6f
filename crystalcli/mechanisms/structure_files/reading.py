"""Files → structures: plugin readers first, then the built-in formats; what cannot be read is reported, never dropped.

One file at a time (:func:`read_file`), so that files can be read in worker processes; :func:`plan` is called once
before, in the parent, and :class:`Ids` once after, where the results come together in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import splitext
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from crystalcli.mechanisms.structure_files.readers import claimed_by, read_by
from crystalcli.nouns.structures import formats, id_prop
from crystalcli.nouns.structures.check import check
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import without_gz
from crystalcli.nouns.structures.pieces import WHOLE, Piece
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.vocabulary.errors import CrystalError, InputError, UnsafeInput, UsageError, one_line


class _HasId(Protocol):
    """A dataclass with an id and tags: an :class:`Entry`, or what is left of one."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...

    @property
    def tags(self) -> Mapping[str, str]: ...


Named = TypeVar("Named", bound=_HasId)
ID_IN_FILE = "id_in_file"
"""Tag that holds the id an entry had before it was kept apart from another."""


@dataclass(frozen=True)
class Failure:
    """One input, or one structure of an input, that cannot be used.

    Args:
        path: ``PATH``, ``PATH:FRAME`` or ``PATH:LINE``.
        id: name the structure would have had.
        stage: ``"read"``, or what the caller did with it.
        code: short word for tables, e.g. ``"partial-occupancy"``.
        reason: one line for people.
    """

    path: str
    id: str
    stage: str
    code: str
    reason: str

    def __str__(self) -> str:
        return one_line(f"{self.path}: {self.reason}")


class Item(NamedTuple):
    """What one process reads at a time: a file, or a piece of a large one, and the id the file gives."""

    path: Path
    name: str
    piece: Piece = WHOLE


@dataclass(frozen=True)
class ReadPlan:
    """What is known before anything is read: files with names, large ones cut, and what to tell the user."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def plan(paths: Sequence[Path], options: ReadOptions = DEFAULTS) -> ReadPlan:
    """Name the files apart and check what concerns them all.

    The name of a file is its stem; where stems clash it is the shortest tail of the path that tells them apart
    (``NaCl.cif`` and ``NaCl.vasp``, ``a/NaCl.cif`` and ``b/NaCl.cif``).

    Raises:
        UsageError: a broken ``id_prop.csv`` (with its line), or a table with several CIF columns and none chosen.
    """
    notes = []
    for table in (folder / id_prop.TABLE for folder in dict.fromkeys(p.parent for p in paths)):
        if table.is_file():
            given = [p for p in paths if p.parent == table.parent]
            notes += id_prop.load(table).notes({stem(p) for p in given} | {p.name for p in given})
    for path in paths:
        formats.check_choices(path, options)
    names = _names(paths)
    return ReadPlan(tuple(Item(p, names[p], piece) for p in paths for piece in _pieces(p)), tuple(notes))


def _pieces(path: Path) -> tuple[Piece, ...]:
    found = formats.pieces(path)
    if len(found) == 1:
        return found
    try:
        return found if claimed_by(path).reader is None else (WHOLE,)
    except CrystalError:  # reading the file says it
        return (WHOLE,)


def read_file(
    path: Path, name: str = "", piece: Piece = WHOLE, options: ReadOptions = DEFAULTS
) -> Iterator[Entry | Failure]:
    """Yield the structures of one file, and a :class:`Failure` for each that cannot be used. Raises no InputError.

    Every entry has passed :func:`crystalcli.nouns.structures.check.check` and carries the label that an
    ``id_prop.csv`` in the same folder gives to its id or, if it is alone in its file, to the file's stem or name.
    What is no Unicode in names and texts is replaced by an escape. :class:`Ids` keeps equal ids apart.

    Args:
        path: the file.
        name: id of the file from :func:`plan`; its stem by default.
        piece: of the file, from :func:`plan`.
        options: choices for formats that need them.
    """
    for item in _read_file(Item(path, name or stem(path), piece), options):
        if isinstance(item, Failure):
            yield replace(item, path=_storable(item.path), id=_storable(item.id))
        elif item.tags or not (item.source.isascii() and item.id.isascii()):
            tags = {_storable(k): _storable(v) for k, v in item.tags.items()}
            yield replace(item, source=_storable(item.source), id=_storable(item.id), tags=tags)
        else:
            yield item


def _storable(text: str) -> str:
    """Text that every format can hold: no bytes of a file's name that are no UTF-8, no halves of a UTF-16 pair."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _read_file(given: Item, options: ReadOptions) -> Iterator[Entry | Failure]:
    path, name, piece = given
    try:
        table = path.parent / id_prop.TABLE
        beside = id_prop.load(table) if table.is_file() else None
        for item in _items(path, piece, options):
            if isinstance(item, InputError):
                yield _failure(path, name, item)
                continue
            id = name + item.id if item.id[:1] in ("", ":") else item.id
            alone = (stem(path), path.name) if not item.id else ()
            labels = beside.labels(*alone, id) if beside else {}
            try:
                warnings = (*item.warnings, *check(item.atoms))
            except CrystalError as problem:
                yield _failure(item.source, id, problem)
                continue
            yield replace(item, id=id, labels={**labels, **item.labels}, warnings=warnings)
    except UsageError:
        raise
    except CrystalError as problem:
        yield _failure(path, name, problem)
    except OSError as problem:
        yield Failure(str(path), name, "read", "os-error", one_line(problem.strerror or str(problem)))
    except RecursionError:
        yield Failure(str(path), name, "read", "too-deep", "nested too deeply")
    except MemoryError:
        yield Failure(str(path), name, "read", "memory", "does not fit into memory")
    except (Exception, SystemExit) as problem:  # a reader's bug costs its file, not the batch
        yield Failure(str(path), name, "read", "reader-error", one_line(f"{type(problem).__name__}: {problem}"))


@dataclass
class Ids:
    """Keeps ids apart: the first keeps its id, the next get ``#2``, ``#3``… in order and keep the old as a tag.

    Args:
        seen: how often each id came.
        renamed: how many got another id; worth telling the user.
    """

    seen: Counter[str] = field(default_factory=Counter)
    renamed: int = 0

    def keep_apart(self, entry: Named) -> Named:
        """Return ``entry``, renamed if its id was taken."""
        self.seen[entry.id] += 1
        if self.seen[entry.id] == 1:
            return entry
        self.renamed += 1
        tags = {ID_IN_FILE: entry.id, **entry.tags}
        return self.keep_apart(replace(entry, id=f"{entry.id}#{self.seen[entry.id]}", tags=tags))


def stem(path: Path) -> str:
    """Name of the file without its ending (and ``.gz``)."""
    return splitext(without_gz(path.name))[0]  # noqa: PTH122 - a Path for each of 100,000 names takes seconds


def _items(path: Path, piece: Piece, options: ReadOptions) -> Iterator[Entry | InputError]:
    claim = claimed_by(path)
    said = claim.said
    try:
        for item in formats.read(path, options, piece) if claim.reader is None else read_by(claim.reader, path):
            if said and isinstance(item, Entry):  # the first structure tells of readers that failed
                item, said = replace(item, warnings=(*said, *item.warnings)), ()  # noqa: PLW2901
            yield item
    except InputError as problem:
        if not said:
            raise
        reason = "; ".join((problem.reason, *said))
        raise InputError(reason, path=problem.path, line=problem.line, code=problem.code) from problem


def _failure(source: str | Path, name: str, problem: CrystalError) -> Failure:
    where = problem.path or str(source)
    if problem.line:
        where += f":{problem.line}"
    code = problem.code or ("unsafe" if isinstance(problem, UnsafeInput) else "unreadable")
    return Failure(where, name, "read", code, one_line(problem.reason))


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    names = {p: stem(p) for p in paths}
    for length in range(1, 1 + max((len(p.parts) for p in paths), default=0)):
        count = Counter(names.values())
        clash = [p for p in paths if count[names[p]] > 1]
        if not clash:
            break
        names |= {p: "/".join(p.parts[-length:]) for p in clash}
    return names
