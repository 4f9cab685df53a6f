"""Every malformed or odd file of the corpus gets the verdict that a careful person would give."""

import time
import warnings
from pathlib import Path

import ase.io
import gemmi
import numpy as np
import pytest
from corpus import CASES, NACL, Case, make
from pymatgen.io.cif import CifParser

from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.nouns.structures.entry import Entry


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {case.name: path for path, case in make(tmp_path_factory.mktemp("corpus")).items()}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name[:40].encode("unicode_escape").decode())
def test_verdict(case: Case, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = files[case.name]
    start = time.perf_counter()
    items = list(read_file(path))
    assert time.perf_counter() - start < 5
    entries = [i for i in items if isinstance(i, Entry)]
    failures = [i for i in items if isinstance(i, Failure)]
    if case.verdict == "refused":
        assert failures, [e.atoms for e in entries]
        assert any(case.says in f.reason for f in failures), failures
        assert all(f.path.startswith(str(path)) and f.code and f.code != "reader-error" for f in failures), failures
    else:
        assert not failures, failures
        assert len(entries) == case.structures
        warned = [w for e in entries for w in e.warnings]
        assert bool(warned) == (case.verdict == "warned"), warned
        assert any(case.says in w for w in warned) or not case.says, warned
    assert all("\n" not in str(f) and len(str(f)) <= 300 for f in failures)
    assert list(tmp_path.iterdir()) == [], "a file ran code"


def test_good_ones_give_the_same_atoms(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "NaCl.cif").write_text(NACL)
    (plain,) = read_file(tmp_path / "NaCl.cif")
    assert isinstance(plain, Entry)
    assert np.allclose(plain.atoms.cell.lengths(), 5.64)
    for case in CASES:
        if case.like_nacl:
            (entry,) = read_file(files[case.name])
            assert isinstance(entry, Entry)
            assert entry.atoms.numbers.tolist() == plain.atoms.numbers.tolist(), case.name
            assert entry.atoms.positions.tobytes() == plain.atoms.positions.tobytes(), case.name


def test_corpus_is_large_enough() -> None:
    assert len({c.name for c in CASES}) == len(CASES)
    assert sum(c.verdict != "good" for c in CASES) >= 150


@pytest.mark.parametrize("case", [c for c in CASES if c.formula or c.oracle], ids=lambda c: c.name)
def test_atoms(case: Case, files: dict[str, Path]) -> None:
    entry = next(iter(read_file(files[case.name])))
    assert isinstance(entry, Entry), entry
    found = entry.atoms.get_chemical_formula()
    assert found == (case.formula or "Cl4Na4")
    if case.oracle:
        assert found == ORACLES[case.oracle](files[case.name])


def _by_pymatgen(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (structure,) = CifParser(path).parse_structures(primitive=False)
    return ase.Atoms(structure.atomic_numbers).get_chemical_formula()


def _by_ase(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(ase.io.read(path, format="cif").get_chemical_formula())


def _by_gemmi(path: Path) -> str:
    sites = gemmi.read_small_structure(str(path)).get_all_unit_cell_sites()
    return ase.Atoms([s.element.atomic_number for s in sites]).get_chemical_formula()


ORACLES = {"pymatgen": _by_pymatgen, "ase": _by_ase, "gemmi": _by_gemmi}
