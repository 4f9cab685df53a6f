"""Which format a file is in, by its name, and the reader for it. Importing this loads no parser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from os.path import splitext
from pathlib import Path

from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.pieces import SIZE, WHOLE, Piece, cut, is_packed
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import open_bytes, regular
from crystalcli.vocabulary.errors import CrystalError, InputError, UsageError, did_you_mean

__all__ = ["check_choices", "looks_readable", "read", "regular", "without_gz"]

_BY_ENDING = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".db": "asedb",
    ".json": "pymatgen_json",
    ".jsonl": "pymatgen_json",
    ".csv": "table",
    ".traj": "ase_traj",
    ".lammpstrj": "lammps_dump",
    ".dump": "lammps_dump",
}
KINDS = {
    "cif": "CIF",
    "poscar": "POSCAR",
    "extxyz": "extended XYZ",
    "asedb": "ASE database",
    "pymatgen_json": "JSON",
    "table": "table",
    "vasprun": "vasprun.xml",
    "outcar": "OUTCAR",
    "xdatcar": "XDATCAR",
    "ase_traj": "ASE trajectory",
    "lammps_dump": "LAMMPS dump",
}
"""The formats in words."""
WITH_IDS = frozenset({"extxyz", "pymatgen_json", "table", "ase_traj"})
"""Formats whose structures may have ids of their own, which do not begin with the name of the file."""
_CUT = ("extxyz", "table")
"""Formats whose structures can be told apart without reading them."""
_SHRINKS = 4
"""How much smaller packed text is, about."""
_BY_NAME = {"poscar": "poscar", "contcar": "poscar", "outcar": "outcar", "xdatcar": "xdatcar", "dump.": "lammps_dump"}
_OF_A_RUN = ("vasprun", "outcar", "xdatcar", "poscar")
"""What a run of VASP leaves beside each other, the file that says most of the same structures first."""
_BACKUPS = ("~", ".bak", ".old", ".orig")
"""Endings of copies that people and editors keep of a file."""
_PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".eps")
_IN_JSON = (b"lattice", b"lattice_mat", b"lattice_vectors", b"unit_cell")
"""Keys by which JSON is seen to hold structures."""
_ENDS_SO = re.compile(r"[_.-](poscar|contcar|outcar|xdatcar)$")
"""``mp-149_POSCAR``, ``Si.CONTCAR``."""
_PACKED = (".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".7z", ".rar", ".z")
_LAMMPS_DATA = re.compile(r"data\..*|.*\.(data|lmp)")
_NAME_IN_RUN = re.compile(r"(vasprun|outcar|xdatcar|poscar|contcar)(.*?)(\.xml)?")


def without_gz(name: str) -> str:
    """File name without a ``.gz`` ending."""
    return name[:-3] if name.lower().endswith(".gz") else name


def format_of(path: Path) -> str | None:
    """Name of the module that reads ``path``, or none."""
    name = without_gz(path.name).lower()
    ending = splitext(name)[1]  # noqa: PTH122 - a Path for each of 100,000 names takes seconds
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    if ending == ".xml" and name.startswith("vasprun"):
        return "vasprun"
    if found := _ENDS_SO.search(name):
        return _BY_NAME[found[1]]
    return next((f for start, f in _BY_NAME.items() if name.startswith(start)), None)


def pieces(path: Path) -> tuple[Piece, ...]:
    """Pieces of a large file that several processes may read at once; the whole file where that is no gain."""
    name = format_of(path)
    if name not in _CUT:
        return (WHOLE,)
    try:
        if path.stat().st_size < 2 * SIZE // (_SHRINKS if (packed := is_packed(path)) else 1):
            return (WHOLE,)
        return cut(import_module(f"crystalcli.nouns.structures.{name}").starts(path), packed=packed)
    except (CrystalError, OSError):  # reading will say so
        return (WHOLE,)


def about(path: Path) -> int | None:
    """How many structures a file has, by what can be seen without reading them; none where nothing can."""
    name = format_of(path)
    if name in ("cif", "poscar"):
        return 1
    try:
        if name not in _CUT or path.stat().st_size > 4 * SIZE // (_SHRINKS if is_packed(path) else 1):
            return None
        return sum(1 for _ in import_module(f"crystalcli.nouns.structures.{name}").starts(path))
    except (CrystalError, OSError):  # reading will say so
        return None


def read(path: Path, options: ReadOptions = DEFAULTS, piece: Piece = WHOLE) -> Iterator[Entry | InputError]:
    """Yield the structures of ``path``, or a piece of it; a bad one among good ones is yielded as its error.

    An id that is empty, or begins with ``:``, is to be put behind the name of the file.

    Raises:
        InputError: the file as a whole cannot be used. UnsafeInput: it tries to do more than hold data.
    """
    name = format_of(path)
    if name is None:
        regular(path)
        raise InputError(_unknown(path), path=path, code="unknown-format")
    module = import_module(f"crystalcli.nouns.structures.{name}")
    cut_out = () if piece == WHOLE else (piece,)
    items: Iterator[Entry | InputError] = module.read(path, options, *cut_out)
    return items


def _unknown(path: Path) -> str:
    """What to do with a file that is in no format known here."""
    name = without_gz(path.name)
    ending = Path(name).suffix
    if ending.lower() in _PACKED:
        return f"packed as '{ending}'; unpack it first, or pack single files with gzip, which is read as it is"
    if _LAMMPS_DATA.fullmatch(name.lower()):
        cure = "write a dump with 'element' among its columns (dump_modify ID element …)"
        return f"a data file of LAMMPS? its types are no elements; {cure}"
    cure = f"'ase convert {path.name} {path.stem}.extxyz' makes one that is read, if ASE knows it"
    known = did_you_mean(ending, sorted(_BY_ENDING))
    return f"unknown format '{ending or path.name}'; {known}; of another program: {cure}"


def check_choices(path: Path, options: ReadOptions) -> None:
    """Ask the format of ``path`` whether ``options`` say enough.

    Raises:
        UsageError: a choice is missing or wrong.
    """
    if format_of(path) == "table" and path.is_file():
        from crystalcli.nouns.structures.table import choose_columns, header

        try:
            choose_columns(header(path), path, options)
        except UsageError:
            raise
        except (CrystalError, OSError):  # reading will say so
            return


def looks_readable(path: Path) -> bool:
    """Whether a file found in a folder is meant as a structure: right name, and a table or JSON that holds one."""
    name = format_of(path)
    if name is None or path.name.lower().endswith(_PICTURES) or path.is_dir():
        return False
    try:
        if name == "table":
            from crystalcli.nouns.structures.table import header

            return any(c.lower().startswith("cif") for c in header(path))
        if name == "pymatgen_json":
            start = _beginning(path, 2**16)
            return any(b'"%s"' % key in start for key in _IN_JSON)
        if name in ("outcar", "xdatcar"):  # not notes or a plot that are called so
            start = _beginning(path, 2**12)
            return b"\0" not in start and (name == "xdatcar" or b"vasp" in start.lower())
    except (CrystalError, OSError):  # reading will say so
        return True
    return True


def is_backup(path: Path) -> bool:
    """Whether a file is called as copies are that are kept of another: ``POSCAR.bak``, ``CONTCAR~``."""
    return without_gz(path.name).lower().endswith(_BACKUPS)


def _beginning(path: Path, size: int) -> bytes:
    with open_bytes(path) as file:
        return file.read(size)


def of_one_run(paths: Sequence[Path], *, steps: bool = True) -> dict[Path, Path]:
    """By every file of a run of VASP that says less than another of ``paths`` says of the same run: that other.

    A run is what lies in one folder under one name: ``vasprun.xml``, ``OUTCAR``, ``CONTCAR``; ``vasprun-2.xml``,
    ``OUTCAR-2``. Of all ``steps``, with what was computed, ``vasprun.xml`` says most. Without them one structure of the
    run is meant: CONTCAR, where it ended, or POSCAR, where it began (an empty CONTCAR: it has not come so far).
    """
    runs: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    for path in paths:
        kind = format_of(path)
        match = _NAME_IN_RUN.fullmatch(without_gz(path.name).lower()) if kind in _OF_A_RUN else None
        if kind is not None and match is not None:
            runs.setdefault((path.parent, match[2]), []).append((_OF_A_RUN.index(kind), path))
    found: dict[Path, Path] = {}
    for files in runs.values():
        rank, best = min(files, key=lambda one: one[0])
        if steps and rank == _OF_A_RUN.index("poscar"):  # POSCAR and CONTCAR alone are two structures
            continue
        ends = [path for _, path in files if format_of(path) == "poscar" and path.stat().st_size]
        if ends and not steps:
            best = min(ends, key=lambda path: "contcar" not in path.name.lower())
        found |= {path: best for _, path in files if path != best}
    return found
