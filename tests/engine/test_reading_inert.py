"""Names that steer a terminal, in every format that can hold one: escaped where they are read, once for all."""

import json
from collections.abc import Callable
from pathlib import Path

import ase
import ase.build
import ase.db
import ase.io
import pytest
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from crystalcli.engine.read.reading import Failure, plan, read_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.texts import inert

ATOMS = ase.build.bulk("NaCl", "rocksalt", a=5.6)
NAMES = ["\x1b]0;pwn\x07\x1b[2J", "c1\x9b31m", "turn\u202eed\u2066", "\u200bseen", "ok [red] =1+1", "Å-μ"]


def csv_table(folder: Path, name: str) -> Path:
    from pymatgen.io.cif import CifWriter

    text = str(CifWriter(_structure()))
    path = folder / "t.csv"
    quoted = name.replace('"', '""')
    path.write_text(f'id,cif,"word {quoted}","k{quoted}"\n"{quoted}","{text}","{quoted}",1.5\n', encoding="utf-8")
    return path


def extended_xyz(folder: Path, name: str) -> Path:
    atoms = ATOMS.copy()
    atoms.info = {"id": name, "word": name, "k": 1.5}
    ase.io.write(folder / "t.extxyz", atoms, format="extxyz")
    return folder / "t.extxyz"


def pymatgen_json(folder: Path, name: str) -> Path:
    record = {"id": name, "structure": _structure().as_dict(), "word": name, f"k{name}": 1.5}
    (folder / "t.json").write_text(json.dumps([record]), encoding="utf-8")
    return folder / "t.json"


def file_name(folder: Path, name: str) -> Path:
    path = folder / f"{name}.xyz"
    ase.io.write(path, ATOMS, format="extxyz")
    return path


def ase_database(folder: Path, name: str) -> Path:
    with ase.db.connect(folder / "t.db") as db:
        db.write(ATOMS, name=name, k=1.5)
    return folder / "t.db"


def _structure() -> Structure:
    return AseAtomsAdaptor.get_structure(ATOMS)


@pytest.mark.parametrize("make", [csv_table, extended_xyz, pymatgen_json, file_name, ase_database])
@pytest.mark.parametrize("name", NAMES, ids=inert)
def test_every_reader(tmp_path: Path, make: Callable[[Path, str], Path], name: str) -> None:
    path = make(tmp_path, name)
    (item,) = plan([path]).items
    (entry,) = read_file(*item)
    assert isinstance(entry, Entry), entry
    if make is not ase_database:
        assert entry.id == inert(name)
    for word in (entry.id, entry.source, *entry.labels, *entry.tags, *entry.tags.values(), *entry.quantities):
        assert word == inert(word)
    assert set(entry.quantities) <= set(entry.labels)


def test_what_fails_is_named_so_too(tmp_path: Path) -> None:
    path = tmp_path / "bad\x1b[31m.cif"
    path.write_text("no cif")
    (failure,) = read_file(path)
    assert isinstance(failure, Failure)
    for word in (failure.path, failure.id, failure.reason, str(failure)):
        assert word.isprintable()


def test_a_backslash_survives_writing_and_reading(tmp_path: Path) -> None:
    """An escape of ours goes out to extended XYZ and comes back as it was, here and in ASE."""
    from crystalcli.vocabulary.texts import xyz_word

    for name in ("a\\x1bb", "c:\\dir", 'say \\"hi', "plain"):
        atoms = ATOMS.copy()
        atoms.info = {"id": xyz_word(name)}
        ase.io.write(tmp_path / "t.extxyz", atoms, format="extxyz")
        (entry,) = read_file(tmp_path / "t.extxyz")
        assert entry.id == name
        assert ase.io.read(tmp_path / "t.extxyz").info["id"] == name
