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

import numpy as np

from crystalcli.engine.read.readers import Claim, claimed_by, read_by
from crystalcli.engine.read.sources import generated, is_source, name_of
from crystalcli.nouns.structures import formats, id_prop
from crystalcli.nouns.structures.check import check
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import without_gz
from crystalcli.nouns.structures.pieces import WHOLE, Piece
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.vocabulary.errors import CrystalError, InputError, UnsafeInput, UsageError, one_line
from crystalcli.vocabulary.texts import inert


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

    def to_json(self) -> dict[str, str]:
        """Plain dictionary, as reports and lists of failures hold it."""
        return {"id": self.id, "path": self.path, "stage": self.stage, "code": self.code, "reason": self.reason}


class ReadItem(NamedTuple):
    """What one process reads at a time: a file, or a piece of a large one, and the id the file gives."""

    path: Path
    name: str
    piece: Piece = WHOLE


@dataclass(frozen=True)
class ReadPlan:
    """What is known before anything is read: files with names, large ones cut, and what to tell or warn the user of."""

    items: tuple[ReadItem, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def plan(paths: Sequence[Path], options: ReadOptions = DEFAULTS) -> ReadPlan:
    """Name the files apart and check what concerns them all.

    The name of a file is its stem; where stems clash it is the shortest tail of the path that tells them apart
    (``NaCl.cif`` and ``NaCl.vasp``, ``a/NaCl.cif`` and ``b/NaCl.cif``).

    Raises:
        UsageError: a broken ``id_prop.csv`` (with its line) where labels are needed, or a table with several CIF
            columns and none chosen.
    """
    notes: list[str] = []
    warnings: list[str] = []
    files = [p for p in paths if not is_source(p)]
    for table in _tables(files, options):
        given = [p for p in files if p.parent == table.parent]
        try:
            notes += id_prop.load(table).notes({n for p in given for n in (stem(p), p.name)})
        except UsageError as problem:
            if options.labels == "needed":
                raise
            warnings.append(f"{problem}; its labels are not used")
    for path in files:
        formats.check_choices(path, options)
    names = _names(paths)
    return ReadPlan(
        tuple(ReadItem(p, names[p], piece) for p in paths for piece in _pieces(p)), tuple(notes), tuple(warnings)
    )


def _tables(paths: Sequence[Path], options: ReadOptions) -> list[Path]:
    """Every ``id_prop.csv`` beside the files, if anybody wants labels."""
    if options.labels == "unused":
        return []
    tables = (folder / id_prop.TABLE for folder in dict.fromkeys(p.parent for p in paths))
    return [t for t in tables if t.is_file()]


def _pieces(path: Path) -> tuple[Piece, ...]:
    if is_source(path):
        return (WHOLE,)
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
    Names and texts of the file are :func:`~crystalcli.vocabulary.texts.inert`. :class:`Ids` keeps equal ids apart.

    Args:
        path: the file.
        name: id of the file from :func:`plan`; its stem by default.
        piece: of the file, from :func:`plan`.
        options: choices for formats that need them.
    """
    for item in _read_file(ReadItem(path, name or _called(path), piece), options):
        yield replace(item, **changes) if (changes := _inert(item)) else item


def _inert(item: Entry | Failure) -> dict[str, Any]:
    """What a stranger wrote, in a form that every output can show."""
    if isinstance(item, Failure):
        return {"path": inert(item.path), "id": inert(item.id)}
    texts = (item.id, item.source, *item.labels, *item.tags, *item.tags.values(), *item.notes)
    if all(map(str.isprintable, (*texts, *item.left_out, *item.left_out.values()))):
        return {}
    return {
        "id": inert(item.id),
        "source": inert(item.source),
        "labels": {inert(k): v for k, v in item.labels.items()},
        "tags": {inert(k): inert(v) for k, v in item.tags.items()},
        "left_out": {inert(k): inert(v) for k, v in item.left_out.items()},
        "notes": tuple(map(inert, item.notes)),
        "quantities": {inert(k): replace(q, name=inert(q.name)) for k, q in item.quantities.items()},
    }


def _read_file(given: ReadItem, options: ReadOptions) -> Iterator[Entry | Failure]:
    path, name, piece = given
    try:
        beside = _beside(path, options)
        kind, items = _items(path, piece, options)
        lost = False
        for item in items:
            if isinstance(item, InputError):
                yield _failure(path, name, item)
                continue
            id = name + item.id if item.id[:1] in ("", ":") else item.id
            alone = not item.id
            inside = item.id if item.id[:1] in ("", ":") else ""
            called = (id, *((stem(path) + inside, path.name + inside) if alone or inside else ()))
            labels = beside.labels(*called, alone=alone) if beside else {}
            said = () if alone or beside is None or lost else _row_of_several(beside, path, id)
            lost = lost or bool(said)
            try:
                warnings = (*item.warnings, *said, *_otherwise_in_file(labels, item.labels), *check(item.atoms))
            except CrystalError as problem:
                yield _failure(item.source, id, problem)
                continue
            yield replace(item, id=id, labels={**labels, **item.labels}, warnings=warnings, kind=kind)
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
        if (name := self.name(entry.id)) == entry.id:
            return entry
        self.renamed += 1
        return replace(entry, id=name, tags={ID_IN_FILE: entry.id, **entry.tags})

    def name(self, id: str) -> str:
        """``id``, or what it is called from now on if it was taken."""
        self.seen[id] += 1
        return id if self.seen[id] == 1 else self.name(f"{id}#{self.seen[id]}")


def stem(path: Path) -> str:
    """Name of the file without its ending (and ``.gz``)."""
    return splitext(without_gz(path.name))[0]  # noqa: PTH122 - a Path for each of 100,000 names takes seconds


def _called(path: Path) -> str:
    """What a file is called, or a source."""
    return name_of(path) if is_source(path) else stem(path)


def _beside(path: Path, options: ReadOptions) -> id_prop.IdProp | None:
    """The table of labels beside a file, if there is one and it is wanted."""
    for table in [] if is_source(path) else _tables([path], options):
        try:
            return id_prop.load(table)
        except UsageError:  # the plan has said so
            if options.labels == "needed":
                raise
    return None


def _row_of_several(beside: id_prop.IdProp, path: Path, id: str) -> tuple[str, ...]:
    """A warning, where a row means a file as a whole that holds several structures."""
    row = beside.id_of(stem(path), path.name)
    if row is None:
        return ()
    where = f"{beside.path.name}:{beside.lines[row]}"
    return (f"{where}: row '{row}' is of one structure, {path.name} holds several: its rows are called like '{id}'",)


def _otherwise_in_file(table: Mapping[str, float], file: Mapping[str, Any]) -> list[str]:
    """Warnings of labels that the table beside a file gives another value than the file itself."""
    names = [k for k, value in table.items() if k in file and (np.ndim(file[k]) or file[k] != value)]
    return [f"label '{k}' is another in {id_prop.TABLE} than in the file, which counts" for k in names]


def _items(path: Path, piece: Piece, options: ReadOptions) -> tuple[str, Iterator[Entry | InputError]]:
    """What kind of file it is, and its structures."""
    if is_source(path):
        return f"source {name_of(path)}", generated(path)
    claim = claimed_by(path)
    kind = formats.KINDS.get(formats.format_of(path) or "", "") if claim.reader is None else claim.reader.name
    return kind, _by(claim, path, piece, options)


def _by(claim: Claim, path: Path, piece: Piece, options: ReadOptions) -> Iterator[Entry | InputError]:
    """The structures of a file; the first one tells of readers that failed."""
    said = claim.said
    try:
        for item in formats.read(path, options, piece) if claim.reader is None else read_by(claim.reader, path):
            if said and isinstance(item, Entry):
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
    names = {p: _called(p) for p in paths}
    for length in range(1, 1 + max((len(p.parts) for p in paths), default=0)):
        count = Counter(names.values())
        clash = [p for p in paths if count[names[p]] > 1]
        if not clash:
            break
        names |= {p: "/".join(p.parts[-length:]) for p in clash}
    return names
