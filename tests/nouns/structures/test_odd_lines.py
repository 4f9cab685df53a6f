"""A line that should not be there costs one structure at most: what stands behind it is read, under its own number."""

import io
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest

from crystalcli.engine.read.reading import plan, read_file
from crystalcli.nouns.structures import formats, pieces
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.formats import read


def frames(count: int = 4) -> list[ase.Atoms]:
    rng = np.random.default_rng(0)
    return [
        ase.Atoms("NaCl", positions=[[0, 0, 0], 2 + rng.random(3)], cell=[4, 4, 4 + k], pbc=True, info={"k": k})
        for k in range(count)
    ]


def written(name: str, count: int = 4) -> list[str]:
    text = io.StringIO()
    ase.io.write(text, frames(count), format="extxyz" if name.endswith("xyz") else "vasp-xdatcar")
    return text.getvalue().splitlines(keepends=True)


def found(path: Path, lines: list[str]) -> list[str]:
    """The id of every structure, which is that of its cell, and the reason of every failure."""
    path.write_text("".join(lines))
    said = []
    for entry in read(path):
        if isinstance(entry, Entry):
            assert entry.id == f":{entry.atoms.cell[2, 2] - 4:g}"
            assert len(entry.atoms) == 2
            said.append(entry.id)
        else:
            assert (entry.line or 0) > 0
            said.append(entry.reason)
    return said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: [*t[:4], "# odd\n", *t[4:]], [":0", "'# odd' is no number of atoms", ":1", ":2", ":3"]),
        (
            lambda t: [*t[:4], "2x\n", *t[5:]],
            [":0", "'2x' is no number of atoms; passed over, with 3 lines behind it", ":2", ":3"],
        ),
        (lambda t: [*t[:4], "3\n", *t[5:]], [":0", "truncated: 3 atoms are counted, 2 are there", ":2", ":3"]),
        (lambda t: [*t[:4], "1\n", *t[5:]], [":0", "1 atoms are counted, 2 are there", ":2", ":3"]),
        (lambda t: [*t[:6], *t[7:]], [":0", "truncated: 2 atoms are counted, 1 are there", ":2", ":3"]),
        (lambda t: [*t[:7], *t[6:]], [":0", "2 atoms are counted, 3 are there", ":2", ":3"]),
    ],
    ids=["a remark", "no count", "too large", "too small", "row missing", "row twice"],
)
def test_extended_xyz(tmp_path, change, expected):
    assert found(tmp_path / "a.extxyz", change(written("a.extxyz"))) == expected


@pytest.mark.parametrize("where", [4 * 3, 4 * 20 + 1, 4 * 37 + 2])
@pytest.mark.parametrize("odd", ["# odd\n", "3\n", "Na 1 1 1\n"])
def test_pieces_see_the_same(tmp_path, monkeypatch, where, odd):
    lines = written("a.extxyz", 40)
    path = tmp_path / "a.extxyz"
    path.write_text("".join([*lines[:where], odd, *lines[where:]]))
    whole = [(i.id, i.reason if hasattr(i, "reason") else "") for i in read_file(path)]
    for module in (pieces, formats):
        monkeypatch.setattr(module, "SIZE", 600)
    items = plan([path]).items
    assert len(items) > 1 or where < 20
    assert [(i.id, i.reason if hasattr(i, "reason") else "") for one in items for i in read_file(*one)] == whole
    assert len(whole) >= 39


def test_capitals_are_said(tmp_path):
    (tmp_path / "a.xyz").write_text('1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nCO 0 0 0\n')
    (entry,) = read(tmp_path / "a.xyz")
    assert isinstance(entry, Entry)
    assert entry.atoms.get_chemical_symbols() == ["Co"]
    assert entry.notes == ("'CO' is taken as the element Co",)


def one_header(lines: list[str]) -> list[str]:
    """As a run of fixed cell writes it, here with the cell of the first frame."""
    return lines[:7] + [line for k, line in enumerate(lines) if k % 10 > 6]


def test_xdatcar(tmp_path):
    lines = written("XDATCAR")
    assert found(tmp_path / "XDATCAR", lines) == [":0", ":1", ":2", ":3"]
    said = found(tmp_path / "XDATCAR", [*lines[:19], "odd\n", *lines[19:]])
    assert said[0] == ":0"
    assert [s.partition(":")[0] for s in said[1:3]] == ["frame 1", "frame 2"]
    assert said[3] == ":3"
    fixed = one_header(lines)
    for at, fails in ((10, 1), (11, 0)):
        (tmp_path / "XDATCAR").write_text("".join([*fixed[:at], "odd\n", *fixed[at:]]))
        entries = list(read(tmp_path / "XDATCAR"))
        assert len([e for e in entries if not isinstance(e, Entry)]) == 1, fails
    (tmp_path / "XDATCAR").write_text("".join([*fixed[:9], *fixed[10:]]))
    assert [e.id for e in read(tmp_path / "XDATCAR") if isinstance(e, Entry)] == [":1", ":2", ":3"]


def test_an_id_of_lammps_twice(tmp_path):
    text = "".join(
        f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
        f"ITEM: ATOMS id element x y z\n1 Cu 0 0 0\n{k + 1} Cu 2 2 0\n"
        for k in range(2)
    )
    (tmp_path / "a.dump").write_text(text)
    problem, entry = read(tmp_path / "a.dump")
    assert isinstance(entry, Entry)
    assert not isinstance(problem, Entry)
    assert (problem.line, problem.reason) == (11, "snapshot 0: the id 1 is there 2 times")
