"""What a file says twice, and not the same, or where its program does not look: refused, or told."""

from pathlib import Path

import numpy as np
import pytest
from corpus import NACL

from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import read_file
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read
from crystalcli.nouns.structures.poscar import parse
from crystalcli.vocabulary.errors import InputError

POSCAR = "x\n1\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n1 1\n"
ROWS = "Na 0 0 0 11\nCl 2 2 2 {}\n"


def xyz(tmp_path: Path, comment: str, rows: str) -> Entry | InputError:
    (tmp_path / "a.xyz").write_text(f"2\n{comment}\n{rows}")
    (found,) = read(tmp_path / "a.xyz")
    return found


def test_symbols_and_numbers(tmp_path: Path) -> None:
    comment = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:Z:I:1'
    assert isinstance(xyz(tmp_path, comment, ROWS.format(17)), Entry)
    problem = xyz(tmp_path, comment, ROWS.format(18))
    assert isinstance(problem, InputError)
    assert (problem.line, "atom 1 is 'Cl' by its symbol, Ar by its number" in problem.reason) == (4, True)
    types = xyz(tmp_path, comment, ROWS.format(17).replace("Na", "A").replace("Cl", "Bx"))
    assert isinstance(types, Entry), "words that are no symbols do not say another element"


@pytest.mark.parametrize("key", ["unit_cell", "Tv", "box", "lattice_vectors"])
def test_cells_by_another_name(tmp_path: Path, key: str) -> None:
    entry = xyz(tmp_path, f'{key}="4 0 0 0 4 0 0 0 4" energy=-1', "Na 0 0 0\nCl 2 2 2\n")
    assert isinstance(entry, Entry)
    assert (entry.atoms.cell.lengths().tolist(), entry.atoms.pbc.all()) == ([4, 4, 4], True)
    assert entry.notes == (f"'{key}=' is read as Lattice=",)


def test_units_behind_a_number(tmp_path: Path) -> None:
    entry = xyz(tmp_path, 'Lattice="4 0 0 0 4 0 0 0 4" energy=-3 Ha', "Na 0 0 0\nCl 2 2 2\n")
    assert isinstance(entry, Entry)
    assert entry.warnings[0].startswith("'Ha': no label is converted for that")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("Direct\n0 0 0 Na\n.5 .5 .5 Cl_pv\n", ""),
        ("Direct\n0 0 0 2.0\n.5 .5 .5 -2.0\n", ""),
        ("Direct\n0 0 0 Cl\n.5 .5 .5 Na\n", "the row of atom 0 names Cl, the line of names Na, which counts"),
        ("S\nDirect\n0 0 0 T T T Na\n.5 .5 .5 T T T K\n", "the row of atom 1 names K, the line of names Cl"),
        ("Direct\n0 0 0 F F F\n.5 .5 .5 T T T\n", "without 'Selective dynamics': no atom is held"),
        ("Direct\n0 0 0 T T T\n.5 .5 .5 T T T\n", ""),
    ],
)
def test_rows_of_a_poscar(rows: str, said: str) -> None:
    warnings = parse(POSCAR + rows).warnings
    assert len(warnings) == bool(said)
    assert all(said in line for line in warnings)


def test_an_xdatcar_of_cartesian_positions(tmp_path: Path) -> None:
    (tmp_path / "XDATCAR").write_text(POSCAR + "Cartesian configuration= 1\n0 0 0\n2 2 2\n")
    with pytest.raises(InputError, match="VASP writes Direct ones"):
        list(read(tmp_path / "XDATCAR"))


def test_a_table_says_that_a_value_is_missing(tmp_path: Path) -> None:
    cif = NACL + "_my_gap 9.9\n"
    (tmp_path / "t.csv").write_text(f'id,cif,my_gap\na,"{cif}",1.5\nb,"{cif}",\n')
    entries = [e for e in read(tmp_path / "t.csv") if isinstance(e, Entry)]
    assert [e.labels.get("my_gap") for e in entries] == [1.5, None]


def test_a_table_beside_a_file_with_the_label(tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(NACL + "_my_gap 9.9\n")
    for value, number in (("1.5", 1), ("9.9", 0)):
        (tmp_path / "id_prop.csv").write_text(f"id,my_gap\na,{value}\n")
        (path,) = expand([str(tmp_path)])
        (entry,) = read_file(path)
        assert isinstance(entry, Entry)
        assert np.isclose(entry.labels["my_gap"], 9.9)
        assert sum("'my_gap' is another in id_prop.csv" in line for line in entry.warnings) == number
