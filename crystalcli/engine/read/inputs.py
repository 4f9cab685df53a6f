"""What users type for inputs → the files meant: files, folders, quoted globs, lists, ``-``, sources."""

from __future__ import annotations

import glob
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from os.path import abspath, realpath
from pathlib import Path

from crystalcli.engine.read.readers import found_in_folder
from crystalcli.engine.read.sources import is_source, request
from crystalcli.nouns.structures import formats
from crystalcli.nouns.structures.formats import is_backup, of_one_run
from crystalcli.nouns.structures.id_prop import TABLE, listed_files
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.texts import some

LIST_ENDINGS = (".txt", ".lst", ".list")
_MAGIC = frozenset("*?[")


def expand(inputs: Sequence[str], *, steps: bool = True) -> list[Path]:
    """Return the files that ``inputs`` mean, each once however it is spelled, in the order typed.

    A folder means the structure files in it and below, in sorted order (hidden ones left out); a folder with an
    ``id_prop.csv`` means the files that the table lists, missing ones too, and the other structure files in it (all of
    those in it, if the table is broken). Of a run of VASP in a folder only the file that says most is meant, or without
    ``steps`` that of its end, else its beginning; a warning says what was left out. A name with ``*?[`` that is no file
    is a glob (``**`` goes down). ``@list``, or a file ending in ``.txt``, ``.lst`` or ``.list``, holds one input a
    line, relative to the current folder or else to the list; ``-`` is such a list on standard input; lines that begin
    with ``#``, what stands behind `` #``, and quotes around a name are no part of it unless a file is called so.
    ``source:NAME:option=value,…`` is what a plugin's source generates, here with all options said, see
    :mod:`crystalcli.engine.read.sources`. A name that leads nowhere, or to a folder without structure
    files, stays in the result, so that reading it reports the failure.

    Raises:
        UsageError: a list that cannot be read or leads back to itself, a name that is none, a source or an option of it
            that there is not.
    """
    found: dict[str, Path] = {}
    beside = _LeftOut(steps)
    for path in _each(inputs, beside):
        found.setdefault(abspath(path), path)  # noqa: PTH100 - resolve() asks the disk, for each of 100,000 names
    left = {path: best for path, best in beside.items() if abspath(path) not in found}  # noqa: PTH100
    if left:
        (path, best), *more = left.items()
        said = f"{len(left)} files" if more else "one file"
        why = "that another tells more of" if steps else "where one structure of a run is meant"
        warnings.warn(
            f"runs of VASP: {said} left out {why}, like {path} beside {best.name}; what is named by itself is read",
            stacklevel=1,
        )
    return list(found.values())


def meant(inputs: Sequence[str], *, steps: bool = True) -> list[Path]:
    """What :func:`expand` finds: one file at least, where something is typed.

    Raises:
        UsageError: as there, and where a list holds nothing.
    """
    found = expand(inputs, steps=steps)
    if inputs and not found:
        raise UsageError("no input files", path=" ".join(inputs))
    return found


class _LeftOut(dict[Path, Path]):
    """Files of runs that are left out → the one that is read instead."""

    def __init__(self, steps: bool) -> None:
        super().__init__()
        self.steps = steps


def about(paths: Sequence[Path]) -> int | None:
    """How many structures the files have, for those who wait; none where that cannot be seen without reading them."""
    total = 0
    for path in paths:
        found = None if is_source(path) else formats.about(path)
        if found is None:
            return None
        total += found
    return total


def _each(inputs: Iterable[str], beside: _LeftOut, lists: tuple[str, ...] = ()) -> Iterator[Path]:
    """Files meant by ``inputs``, which stand in ``lists``, the outermost first; ``beside`` takes what is left out."""
    for text in inputs:
        if not text or "\0" in text:
            cause = "is empty; . is this folder" if not text else "holds a NUL character"
            raise UsageError(f"the name of an input {cause}", path=lists[-1] if lists else None)
        path = Path(text)
        if is_source(text):
            yield request(text).path
        elif text == "-":
            yield from _each(_lines(sys.stdin.read(), Path()), beside, (*lists, text))
        elif text.startswith("@") and not path.exists():
            yield from _listed(Path(text[1:]), beside, lists)
        elif path.is_dir():
            yield from _folder(path, beside)
        elif path.name.lower().endswith(LIST_ENDINGS) and path.is_file():
            yield from _listed(path, beside, lists)
        elif path.name == TABLE and path.is_file():
            yield from _folder(path.parent, beside)
        elif _MAGIC & set(text) and not path.exists():
            found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - patterns may be absolute
            for name in found or [text]:
                yield from _folder(Path(name), beside) if Path(name).is_dir() else _glob_hit(Path(name))
        else:
            yield path


def _glob_hit(path: Path) -> Iterator[Path]:
    if path.name != TABLE:
        yield path


def _folder(folder: Path, beside: _LeftOut) -> Iterator[Path]:
    table = folder / TABLE
    if table.is_file():
        _say_below(folder)
        yield from listed_files(table)
        yield from _meant((p for p in sorted(folder.iterdir()) if p.name != TABLE), beside)
        return
    visible = (p for p in sorted(folder.rglob("*")) if not _hidden(p, folder) and p.name != TABLE)
    yield from _meant(visible, beside) or [folder]


def _say_below(folder: Path) -> None:
    """Warn of structures below a folder with a table, which are none of its rows."""
    below = (p for p in sorted(folder.rglob("*")) if p.parent != folder and not _hidden(p, folder) and p.name != TABLE)
    found = [p for p in below if found_in_folder(p)]
    if found:
        homes = some(list(dict.fromkeys(str(p.parent) for p in found)), 3)
        warnings.warn(
            f"{folder / TABLE}: {len(found)} structure files in folders below it are left out ({homes}); name these "
            "folders, too",
            stacklevel=1,
        )


def _meant(paths: Iterable[Path], beside: _LeftOut) -> list[Path]:
    """Of the files in a folder those that are meant as structures."""
    found = [path for path in paths if found_in_folder(path)]
    if backups := [path for path in found if is_backup(path)]:
        said = (
            f"{len(backups)} backup files are left out ({some([p.name for p in backups], 3)}); name them to read them"
        )
        warnings.warn(f"{backups[0].parent}: {said}", stacklevel=1)
        found = [path for path in found if not is_backup(path)]
    left = of_one_run(found, steps=beside.steps)
    beside |= left
    return [path for path in found if path not in left]


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _listed(path: Path, beside: _LeftOut, lists: tuple[str, ...]) -> Iterator[Path]:
    here = realpath(path)  # unlike resolve, survives link loops
    if here in lists:
        raise UsageError("this list of files leads back to itself", path=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read this list of files: {problem}", path=path) from problem
    yield from _each(_lines(text, path.parent), beside, (*lists, here))


def _lines(text: str, base: Path) -> Iterator[str]:
    """Names in a list: blank lines and comments left out, quotes taken off, unless a file is really called so."""
    for line in text.splitlines():
        spellings = _spellings(line.strip())
        places = (place for name in spellings if name for place in (name, str(base / name)))
        name = next(filter(_is_there, places), spellings[-1])
        if name:
            yield name


def _spellings(line: str) -> list[str]:
    """What a line may mean, from the name as it stands to the one that is likely; the last is empty for a comment."""
    bare = re.sub(r"(?:^|\s+)#.*$", "", line)
    quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'"
    name = bare[1:-1] if quoted else bare
    return [line, bare, name, str(Path(name).expanduser()) if name.startswith("~/") else name]


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or a NUL in it
        return False
