"""The CGCNN convention: a folder of structure files with ``id_prop.csv``, lines of ``id,value`` without a header."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from crystalcli.nouns.structures.numbers import hint, is_nothing, number_in
from crystalcli.nouns.structures.text import read_text
from crystalcli.vocabulary.errors import CrystalError, UsageError
from crystalcli.vocabulary.texts import some

TABLE = "id_prop.csv"
TARGET = "target"
"""Name of the quantity: the table has none. One per structure, unit unknown, intensive."""
_ID_WORDS = ("id", "ids", "name", "file", "filename", "material_id", "cif_id")
"""What may stand above a list of ids."""
Line = tuple[int, list[str]]


@dataclass(frozen=True)
class IdProp:
    """Labels by id, with the line each came from.

    Args:
        path: the table.
        keys: names of the quantities; none if the table is a list of ids.
        rows: values by id, NaN where there is none.
        lines: where each id stands.
        read_as: what was taken for something else than an id and values with commas.
    """

    path: Path
    keys: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    lines: Mapping[str, int]
    read_as: str = ""

    def notes(self, given: set[str]) -> list[str]:
        """Lines that tell the user what was found, how it is understood, and which rows fit no file that was given."""
        if self.keys:
            named = ", ".join(f"'{k}'" for k in self.keys)
            found = f"labels from {self.path}: {len(self.rows)} rows, quantity {named}, one per structure, unit unknown"
            missing = sum(any(map(math.isnan, row)) for row in self.rows.values())
            found += f"; {missing} rows lack a value" if missing else ""
        else:
            found = f"{self.path}: a list of {len(self.rows)} ids, no labels"
        found += f"; {self.read_as}" if self.read_as else ""
        self.look_again()
        fit = {self.id_of(name) for name in given}
        open_ = {name for name in self.rows if name not in fit and len(self.of_many(name)) > 1}
        extra = [
            f"'{name}' on line {line}"
            for name, line in self.lines.items()
            if name not in fit and name not in open_ and not any(one in given for one in beginnings(name))
        ]
        lines = [
            f"{self.path}:{self.lines[name]}: id '{name}' means none of {some(sorted(self.of_many(name)), 3)}: they "
            "differ in case only; write it as the file is called"
            for name in sorted(open_)
        ]
        if extra:
            said = f"{self.path}: {len(extra)} rows fit no file that was given ({some(extra, 3)})"
            inside = [name for name in self.with_ids() if name in given]
            said += f"; they count where structures in {some(inside, 3)} are called so" if inside else ""
            lines.append(said)
        return [found, *lines]

    def labels(self, *names: str, alone: bool) -> dict[str, float]:
        """Labels of the structure called by one of ``names``; of one that is ``alone`` in its file case may differ."""
        row = self.rows.get((self.id_of(*names) if alone else self._as_it_is(names)) or "", ())
        return {k: v for k, v in zip(self.keys, row, strict=False) if not math.isnan(v)}

    def id_of(self, *names: str) -> str | None:
        """The id that means one of ``names``: as it is, without ``./``, or in another case if that fits one only."""
        if (found := self._as_it_is(names)) is not None:
            return found
        for name in names:
            found = self._loosely.get(name.lower())
            if found is not None and len(self.of_many(found)) <= 1 and not self._is_another(found, names):
                return found
        return None

    def _as_it_is(self, names: tuple[str, ...]) -> str | None:
        for name in names:
            for found in (name, f"./{name}"):
                if found in self.rows and (found == name or self._loosely.get(name.lower()) == found):
                    return found
        return None

    def of_many(self, name: str) -> frozenset[str]:
        """What the files are called that an id may mean if case counts nothing, as it does on some disks."""
        return self._files.get(_loose(name), frozenset())

    def with_ids(self) -> list[str]:
        """Names of the files beside the table that no row means and whose structures may have ids of their own."""
        from crystalcli.nouns.structures.formats import WITH_IDS, format_of, looks_readable, without_gz

        files = (f for f in sorted(self.path.parent.iterdir()) if f.name != TABLE and format_of(f) in WITH_IDS)
        return [
            f.name for f in files if self.id_of(Path(without_gz(f.name)).stem, f.name) is None and looks_readable(f)
        ]

    def look_again(self) -> None:
        """Forget which files there are: a command looks once, a table may be kept in memory for many."""
        self.__dict__.pop("_files", None)

    @cached_property
    def _files(self) -> Mapping[str, frozenset[str]]:
        """Stems and names of the structure files beside the table, by how they read without case."""
        from crystalcli.nouns.structures.formats import format_of, without_gz

        found: dict[str, set[str]] = {}
        for file in self.path.parent.iterdir():
            if file.name != TABLE and format_of(file) is not None:
                for name in (Path(without_gz(file.name)).stem, file.name):
                    found.setdefault(name.lower(), set()).add(name)
        return {name: frozenset(names) for name, names in found.items()}

    def _is_another(self, name: str, names: tuple[str, ...]) -> bool:
        """Whether an id in another case is the right one of another file."""
        return any((self.path.parent / (name + Path(n).suffix)).exists() for n in (*names, ""))

    @cached_property
    def _loosely(self) -> Mapping[str, str]:
        loose = [(_loose(name), name) for name in self.rows]
        count = Counter(key for key, _ in loose)
        return {key: name for key, name in loose if count[key] == 1}


def load(path: Path) -> IdProp:
    """Read and check the table; kept in memory until the file changes.

    Raises:
        UsageError: a line that is not an id and numbers, an id twice, or other separators; with the line.
    """
    status = path.stat()
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _load(path: Path, _mtime: int, _size: int) -> IdProp:
    try:
        text = read_text(path)
    except CrystalError as problem:
        raise UsageError(problem.reason, path=path, line=problem.line) from problem
    lines, said = _lines(text, path)
    if not lines:
        raise UsageError("holds comments only", path=path)
    lines, keys, numbered = _without_index(lines, path.parent)
    said = "; ".join(s for s in (said, numbered) if s)
    rows: dict[str, tuple[float, ...]] = {}
    seen: dict[str, int] = {}
    width = len(lines[0][1])
    for number, row in lines:
        name = row[0].strip()
        if len(row) < 2 <= width:
            raise UsageError(f"needs an id and a value, has '{row[0]}'", path=path, line=number)
        if len(row) != width:
            raise UsageError(f"has {len(row)} columns, line {lines[0][0]} has {width}", path=path, line=number)
        if name in seen:
            raise UsageError(f"id '{name}' was already on line {seen[name]}", path=path, line=number)
        seen[name] = number
        rows[name] = tuple(_number(text, path, number) for text in row[1:])
    _refuse_two_spellings(seen, path)
    return IdProp(path, keys or _targets(width - 1), rows, seen, said)


def _lines(text: str, path: Path) -> tuple[list[Line], str]:
    """Number and cells of every line but blanks and comments, and how they were told apart if not by commas."""
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and line.lstrip()[0] != "#"]
    cells = list(csv.reader((line for _, line in numbered), skipinitialspace=True))
    lines = [(n, row) for (n, _), row in zip(numbered, cells, strict=False) if any(row)]
    while lines and all(len(row) > 2 and not row[-1].strip() for _, row in lines):  # a comma at the end of every line
        lines = [(n, row[:-1]) for n, row in lines]
    if any(len(row) > 1 for _, row in lines):
        if all(";" in row[0] for _, row in lines):  # as spreadsheets write it where 1,5 is a number
            cure = "separate columns by commas, and write decimals with points"
            raise UsageError(
                f"needs an id and a value, has '{','.join(lines[0][1])}'; {cure}", path=path, line=lines[0][0]
            )
        return lines, ""
    words = [(n, line.split("\t") if "\t" in line else line.split()) for n, line in numbered]
    if len({len(row) for _, row in words}) == 1 and len(words[0][1]) > 1 and _ends_in_numbers(words):
        return words, "columns are taken as separated by blanks"
    for number, row in lines:
        if ";" in row[0] or "\t" in row[0]:
            cure = "columns are separated by commas"
            raise UsageError(f"needs an id and a value, has '{row[0]}'; {cure}", path=path, line=number)
    if lines and lines[0][1][0].strip().lower() in _ID_WORDS:
        return lines[1:], ""
    return lines, ""


def _ends_in_numbers(lines: list[Line]) -> bool:
    body = lines[1:] if len(lines) > 1 and _is_header(lines[0][1]) else lines
    return all(is_nothing(row[-1]) or number_in(row[-1]) is not None for _, row in body)


def _without_index(lines: list[Line], folder: Path) -> tuple[list[Line], tuple[str, ...], str]:
    """Lines without header and without the running number that pandas writes in front; the header's names."""
    keys: tuple[str, ...] = ()
    said = "the running numbers in front are no ids"
    first = [c.strip() for c in lines[0][1]]
    if len(lines) > 1 and len(first) > 1 and _is_header(first) and not _files_called(first[0], folder):
        if len(first) > 2 and (not first[0] or first[0].startswith("Unnamed:")):
            return [(n, row[1:]) for n, row in lines[1:]], tuple(first[2:]), said
        return lines[1:], tuple(first[1:]), ""
    counted = [row[0].strip() for _, row in lines]
    if len(lines) > 1 and len(first) > 2 and counted in ([str(k + s) for k in range(len(lines))] for s in (0, 1)):
        words = [row[1] for _, row in lines if len(row) > 1]
        if not any(is_nothing(w) or number_in(w) is not None for w in words):
            return [(n, row[1:]) for n, row in lines], keys, said
    return lines, keys, ""


def _files_called(name: str, folder: Path) -> list[str]:
    """Names of the structure files in ``folder`` that are called so, with their ending or without."""
    from crystalcli.nouns.structures.formats import format_of, without_gz

    files = (f.name for f in folder.iterdir() if f.name != TABLE and format_of(f) is not None)
    return [f for f in files if name in (f, Path(without_gz(f)).stem)]


def _refuse_two_spellings(lines: Mapping[str, int], path: Path) -> None:
    """``a`` and ``a.cif`` are one file, unless there are several with that stem; so are ``a`` and ``./a``."""
    from crystalcli.nouns.structures.formats import without_gz

    for name, line in lines.items():
        plain = name.removeprefix("./")
        stem = Path(without_gz(plain)).stem if _is_file_name(plain) else plain
        others = [o for o in (plain, stem, f"./{stem}") if o != name and o in lines]
        if others and (plain == stem or len(_files_called(stem, path.parent)) < 2):
            (first, _), (last, twice) = sorted([(line, name), (lines[others[0]], others[0])])
            raise UsageError(f"id '{twice}' means the same file as that on line {first}", path=path, line=last)


def _targets(n: int) -> tuple[str, ...]:
    return (TARGET, *(f"{TARGET}{k}" for k in range(2, n + 1)))[:n]


def _is_header(row: list[str]) -> bool:
    """A first line whose values all begin like words and are no attempt at a number."""
    first, *values = (c.strip() for c in row)
    named = first[:1].isalpha() or (not first and len(values) > 1)
    return named and all(c[:1].isalpha() and not is_nothing(c) and number_in(c) is None for c in values)


def _number(text: str, path: Path, line: int) -> float:
    if is_nothing(text):
        return math.nan
    value = number_in(text.strip())
    if value is None:
        cure = hint(text) or ("; write classes as whole numbers" if text.strip()[:1].isalpha() else "")
        raise UsageError(f"'{text.strip()}' is not a number{cure}", path=path, line=line)
    if not math.isfinite(value):
        raise UsageError(f"'{text.strip()}' is not a finite number", path=path, line=line)
    return value


def listed_files(path: Path) -> list[Path]:
    """The files that the rows mean, in row order: ``id``, ``id.cif`` or any other structure file with that stem.

    A row without a file gives the ``.cif`` that is missing, so that reading reports it; none beside a file whose
    structures have ids of their own, for it may be one of them (:meth:`IdProp.notes` says so). A table that cannot be
    read lists nothing: what needs its labels says why, what does not goes on without it.
    """
    from crystalcli.nouns.structures.formats import format_of, without_gz

    try:
        table = load(path)
    except UsageError:
        return []
    table.look_again()
    by_id: dict[str, list[Path]] = {}
    by_name: dict[str, list[Path]] = {}
    for file in sorted(path.parent.iterdir()):
        if file.name != TABLE and format_of(file) is not None:
            stem = Path(without_gz(file.name)).stem
            name = table.id_of(stem, file.name)
            for called in dict.fromkeys((stem, file.name)):
                by_name.setdefault(called, []).append(file)
            if name is not None:
                by_id.setdefault(name, []).append(file)

    with_ids = bool(table.with_ids())

    def meant(name: str) -> list[Path]:
        """Files of a row: its own, the one that holds its structure, none where several differ in case only."""
        inside = [f for one in beginnings(name) for f in by_name.get(one, ())]
        open_ = len(table.of_many(name)) > 1 or (with_ids and not _is_file_name(name))
        return by_id.get(name) or inside or ([] if open_ else [path.parent / _file_name(name)])

    return [f for name in table.rows for f in meant(name)]


def beginnings(name: str) -> list[str]:
    """What stands before a colon: the file of a structure that is called ``FILE:BLOCK``, ``FILE.xyz:FRAME``."""
    parts = name.removeprefix("./").split(":")
    return [":".join(parts[:k]) for k in range(1, len(parts))]


def _file_name(name: str) -> str:
    """The file that an id means; an id never becomes a path elsewhere."""
    plain = name.removeprefix("./").replace("/", "_").replace("\\", "_").replace("\0", "_")
    return plain if _is_file_name(plain) else f"{plain}.cif"


def _is_file_name(name: str) -> bool:
    from crystalcli.nouns.structures.formats import format_of

    return format_of(Path(name)) is not None


def _loose(name: str) -> str:
    return name.removeprefix("./").lower()
