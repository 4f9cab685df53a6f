"""vasprun.xml, OUTCAR, XDATCAR, ASE's .traj, dumps of LAMMPS: right energies, signs, units, and as ASE reads them."""

import gzip
import pickle
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from corpus.runs import CELL, FORCES, KBAR, PLACES, SYMBOLS, Step, dump, outcar, vasprun, xdatcar
from in_process import crystal

from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure, read_file
from crystalcli.nouns.structures.entry import Entry

STEPS = [Step(), Step(free=(-11.0, -11.5, -11.50001), zero=0.5, shift=0.01), Step(free=(-12.0, -12.00001), shift=0.02)]
STRESS = -0.1 / 160.21766208 * KBAR[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


def entries(path: Path) -> list[Entry]:
    items = list(read_file(path))
    assert not [str(i) for i in items if isinstance(i, Failure)]
    return [i for i in items if isinstance(i, Entry)]


def failing(path: Path) -> tuple[list[Entry], str]:
    items = list(read_file(path))
    return [i for i in items if isinstance(i, Entry)], "; ".join(str(i) for i in items if isinstance(i, Failure))


def like_ase(found: list[Entry], path: Path, kind: str, tolerance: float = 1e-9) -> None:
    theirs = ase.io.read(path, ":", format=kind)
    assert len(found) == len(theirs)
    for mine, other in zip(found, theirs, strict=True):
        np.testing.assert_allclose(mine.atoms.positions, other.positions, atol=tolerance)
        np.testing.assert_allclose(mine.atoms.cell.array, other.cell.array, atol=tolerance)
        assert mine.atoms.numbers.tolist() == other.numbers.tolist()
        for key in ("energy", "free_energy", "forces", "stress") if other.calc is not None else ():
            np.testing.assert_allclose(mine.labels[key], other.calc.results[key], atol=1e-5)
        assert len(mine.atoms.constraints) == len(other.constraints)


def check_steps(found: list[Entry]) -> None:
    assert [e.labels["free_energy"] for e in found] == pytest.approx([s.free[-1] for s in STEPS])
    assert [e.labels["energy"] for e in found] == pytest.approx([s.free[-1] + s.zero for s in STEPS])
    for entry, step in zip(found, STEPS, strict=True):
        np.testing.assert_allclose(entry.atoms.positions, step.places @ CELL, atol=1e-6)
        np.testing.assert_allclose(entry.labels["forces"], FORCES, atol=1e-6)
        np.testing.assert_allclose(entry.labels["stress"], STRESS, rtol=1e-6)
        assert entry.quantities["energy"].unit == "eV"
        assert str(entry.atoms.symbols) == "Cu2Zn"
        assert "energy is that for σ → 0" in entry.notes[0]
        assert entry.warnings == ()


@pytest.mark.parametrize("name", ["vasprun.xml", "vasprun-2.xml", "vasprun.xml.gz"])
@pytest.mark.parametrize("pstress", [0.0, 50.0])
def test_vasprun(tmp_path: Path, name: str, pstress: float) -> None:
    data = vasprun(STEPS, pstress=pstress, selective=True).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = entries(tmp_path / name)
    check_steps(found)
    assert [e.id[-2:] for e in found] == [":0", ":1", ":2"]
    assert found[0].atoms.constraints[0].index.tolist() == [0]
    if not name.endswith(".gz"):
        like_ase(found, tmp_path / name, "vasp-xml", 1e-7)


def test_a_single_step_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "vasprun.xml").write_text(vasprun(STEPS[:1]))
    (tmp_path / "OUTCAR").write_text(outcar(STEPS[:1]))
    (tmp_path / "XDATCAR").write_text(xdatcar(STEPS[:1]))
    assert [entries(tmp_path / n)[0].id for n in ("vasprun.xml", "OUTCAR", "XDATCAR")] == [
        "vasprun",
        "OUTCAR",
        "XDATCAR",
    ]


def test_electrons_that_have_not_converged_are_told(tmp_path: Path) -> None:
    steps = [Step(), Step(free=(-9.0, -9.5, -10.0, -9.8))]
    (tmp_path / "vasprun.xml").write_text(vasprun(steps, nelm=4))
    assert [len(e.warnings) for e in entries(tmp_path / "vasprun.xml")] == [0, 1]
    steps[1] = Step(free=(-9.0, -9.5, -10.0, -10.00001))
    (tmp_path / "vasprun.xml").write_text(vasprun(steps, nelm=4))
    assert [len(e.warnings) for e in entries(tmp_path / "vasprun.xml")] == [0, 0], "the last of them was enough"
    for says, warned in (("aborting loop EDIFF was not reached (unconverged)", 1), ("", 1), (None, 0)):
        text = outcar([Step(free=(-9.0, -10.0, -10.5))], nelm=3, **({} if says is None else {"says": says}))
        (tmp_path / "OUTCAR").write_text(text)
        (entry,) = entries(tmp_path / "OUTCAR")
        assert len(entry.warnings) == warned


def test_outcar(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_text(outcar(STEPS))
    found = entries(tmp_path / "OUTCAR")
    check_steps(found)
    like_ase(found, tmp_path / "OUTCAR", "vasp-out")


@pytest.mark.parametrize("moving", [False, True])
def test_xdatcar(tmp_path: Path, moving: bool) -> None:
    (tmp_path / "XDATCAR").write_text(xdatcar(STEPS, moving_cell=moving))
    found = entries(tmp_path / "XDATCAR")
    assert [e.source[-2:] for e in found] == [":0", ":1", ":2"]
    like_ase(found, tmp_path / "XDATCAR", "vasp-xdatcar", 1e-6)


def test_files_that_break_off_keep_what_came_before(tmp_path: Path) -> None:
    text = vasprun(STEPS)
    (tmp_path / "vasprun.xml").write_text(text[: text.rindex("<calculation>") + 400])
    found, said = failing(tmp_path / "vasprun.xml")
    assert len(found) == 2
    assert "breaks off after 2 whole steps" in said
    text = outcar(STEPS)
    (tmp_path / "OUTCAR").write_text(text[: text.rindex("direct lattice")])
    found, said = failing(tmp_path / "OUTCAR")
    assert len(found) == 2
    assert "breaks off after 2 whole steps" in said
    text = xdatcar(STEPS)
    (tmp_path / "XDATCAR").write_text(text[: text.rindex("\n", 0, -1) + 1])
    found, said = failing(tmp_path / "XDATCAR")
    assert len(found) == 2
    assert "breaks off after 2 of 3 atoms" in said
    text = dump(STEPS)
    (tmp_path / "a.dump").write_text(text[: text.rindex("\n", 0, -1) + 1])
    found, said = failing(tmp_path / "a.dump")
    assert len(found) == 2
    assert "3 atoms are counted, 2 are there" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (" POSITION                                       TOTAL-FORCE (eV/Angst)", "", "has no positions and forces"),
        ("energy   TOTEN  =", "energy ML TOTEN  =", "is of VASP's machine-learned force field"),
        ("0.000000", "********", "is damaged"),
    ],
)
def test_why_a_step_of_an_outcar_cannot_be_read_is_said_in_words(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = outcar(STEPS)
    at = text.rindex("in kB")
    assert old in text[at:]
    (tmp_path / "OUTCAR").write_text(text[:at] + text[at:].replace(old, new))
    found, problem = failing(tmp_path / "OUTCAR")
    assert len(found) == len(STEPS) - 1
    assert f"step {len(found)} {said}" in problem
    assert "Error" not in problem


def test_an_outcar_that_breaks_off_in_its_head_says_so(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_text(" vasp.6.3.0\n POTCAR:    PAW_PBE Si\n")
    assert failing(tmp_path / "OUTCAR")[1].endswith("no OUTCAR of VASP, or it breaks off before the first step")


@pytest.mark.parametrize(("name", "make"), [("vasprun.xml", vasprun), ("OUTCAR", outcar)])
def test_stars_cost_their_step(tmp_path: Path, name: str, make) -> None:
    text = make(STEPS)
    place = text.index("-0.3", text.index("-0.3") + 10)
    (tmp_path / name).write_text(text[:place] + "*****" + text[place + 5 :])
    found, said = failing(tmp_path / name)
    assert len(found) == 2
    assert "step 1" in said


def test_no_entity_is_ever_opened(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<modeling>&b;</modeling>'
    outside = '<?xml version="1.0"?>\n<!DOCTYPE m SYSTEM "file:///etc/passwd"><modeling></modeling>'
    for text in (bomb, outside, vasprun(STEPS).replace("<modeling>", "<!DOCTYPE modeling []><modeling>")):
        (tmp_path / "vasprun.xml").write_text(text)
        found, said = failing(tmp_path / "vasprun.xml")
        assert not found
        assert "entities" in said
    for text, says in (
        ("<html></html>", "XML of another kind"),
        ("<modeling></modeling>", "no calculation"),
        ("x", "XML"),
    ):
        (tmp_path / "vasprun.xml").write_text(text)
        assert says in failing(tmp_path / "vasprun.xml")[1]


POSCAR = "t\n1\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\n"
RUN = {"vasprun.xml": vasprun(STEPS), "OUTCAR": outcar(STEPS), "XDATCAR": xdatcar(STEPS), "CONTCAR": POSCAR}


def tree(home: Path, *names: str) -> list[Path]:
    """Files called so below ``home``, packed where they end in .gz."""
    for name in names:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        word = path.name.removesuffix(".gz")
        kind = next((k for k in RUN if word.lower().startswith(k.lower().removesuffix(".xml"))), "")
        data = RUN.get(kind, POSCAR).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return [home / name for name in names]


@pytest.mark.parametrize(
    ("there", "read"),
    [
        (["POSCAR", "CONTCAR", "XDATCAR", "OUTCAR", "vasprun.xml"], ["vasprun.xml"]),
        (
            ["a/POSCAR", "a/OUTCAR", "b/c/XDATCAR.gz", "b/c/POSCAR", "d/POSCAR"],
            ["a/OUTCAR", "b/c/XDATCAR.gz", "d/POSCAR"],
        ),
        (["vasprun.xml.gz", "OUTCAR.gz", "outcar-2", "vasprun-3.xml"], ["outcar-2", "vasprun-3.xml", "vasprun.xml.gz"]),
        (["OUTCAR.relax", "POSCAR.relax", "vasprun.xml", "POSCAR-001"], ["OUTCAR.relax", "POSCAR-001", "vasprun.xml"]),
    ],
)
def test_a_folder_of_runs_gives_what_says_most_of_every_run(tmp_path: Path, there: list[str], read: list[str]) -> None:
    tree(tmp_path, *there)
    with pytest.warns(UserWarning, match="runs of VASP: (one file|. files) left out") as told:
        found = expand([str(tmp_path)])
    assert [str(p.relative_to(tmp_path)) for p in found] == read
    assert len(told) == 1
    assert all(isinstance(e, Entry) for p in found for e in read_file(p))


def test_what_is_named_is_read_and_not_said_to_be_left_out(tmp_path: Path) -> None:
    paths = tree(tmp_path, "POSCAR", "vasprun.xml")
    assert expand([str(tmp_path), str(paths[0])]) == [paths[1], paths[0]]
    assert expand([str(tmp_path / "**/POSCAR")]) == [paths[0]]


@pytest.mark.parametrize(
    ("there", "read"),
    [
        (["POSCAR", "CONTCAR", "XDATCAR", "OUTCAR", "vasprun.xml"], ["CONTCAR"]),
        (["a/POSCAR", "a/OUTCAR", "b/OUTCAR", "b/XDATCAR"], ["a/POSCAR", "b/OUTCAR"]),
        (["POSCAR", "CONTCAR"], ["CONTCAR"]),
        (["POSCAR-001", "POSCAR-002", "CONTCAR", "OUTCAR"], ["CONTCAR", "POSCAR-001", "POSCAR-002"]),
    ],
)
def test_where_a_run_ended(tmp_path: Path, there: list[str], read: list[str]) -> None:
    tree(tmp_path, *there)
    with pytest.warns(UserWarning, match="left out where one structure of a run is meant") as told:
        found = expand([str(tmp_path)], steps=False)
    assert [str(p.relative_to(tmp_path)) for p in found] == read
    assert len(told) == 1
    if {"POSCAR", "CONTCAR"} <= set(there):
        (tmp_path / "CONTCAR").write_text("")  # the run has not come so far
        with pytest.warns(UserWarning, match="left out"):
            assert [p.name for p in expand([str(tmp_path)], steps=False)] == ["POSCAR"]


def test_relaxations_begin_where_a_run_ended(tmp_path: Path) -> None:
    tree(tmp_path / "run", "POSCAR", "CONTCAR", "OUTCAR", "vasprun.xml")
    with pytest.warns(UserWarning, match="left out where one structure of a run is meant") as told:
        said = crystal(["relax", "run", "--potential", "emt", "-o", "relaxed"], tmp_path)
    assert said.returncode == 0, said.stderr
    assert len(told) == 1
    table = (tmp_path / "relaxed" / "relaxation.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in table[1:]] == [str(Path("run") / "CONTCAR")]


def test_one_line_for_all_folders_and_none_where_nothing_is_left_out(tmp_path: Path) -> None:
    tree(tmp_path, *(f"{k}/{name}" for k in range(3) for name in ("OUTCAR", "CONTCAR")))
    with pytest.warns(UserWarning, match="3 files left out that another tells more of, like .*CONTCAR") as told:
        assert len(expand([str(tmp_path / "[0-9]")])) == 3
    assert len(told) == 1
    for name in ("OUTCAR", "XDATCAR", "vasprun.xml", "POSCAR", "CONTCAR"):
        tree(tmp_path / "alone" / name, name)
    assert len(expand([str(tmp_path / "alone")])) == 5


def test_notes_and_plots_called_so_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR.md").write_text("What I saw in it.")
    (tmp_path / "XDATCAR.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    tree(tmp_path, "x.vasp")
    assert [p.name for p in expand([str(tmp_path)])] == ["x.vasp"]
    (tmp_path / "OUTCAR.gz").write_text("not packed")
    assert [p.name for p in expand([str(tmp_path)])] == ["OUTCAR.gz", "x.vasp"], "reading says what is wrong"


def test_a_folder_with_a_table_means_its_runs_too(tmp_path: Path) -> None:
    tree(tmp_path, "a.vasp", "OUTCAR", "CONTCAR")
    (tmp_path / "id_prop.csv").write_text("a,1.5\n")
    with pytest.warns(UserWarning, match="one file left out"):
        assert [p.name for p in expand([str(tmp_path)])] == ["a.vasp", "OUTCAR"]


def test_trajectory_of_ase(tmp_path: Path) -> None:
    frames = []
    for k in range(3):
        atoms = ase.Atoms("Cu2Zn", scaled_positions=PLACES, cell=CELL, pbc=True, info={"gap": 0.5 * k, "group": "md"})
        atoms.set_velocities(np.full((3, 3), 0.1))
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - k, forces=FORCES, stress=STRESS)
        frames.append(atoms)
    ase.io.write(tmp_path / "a.traj", frames)
    found = entries(tmp_path / "a.traj")
    assert [e.labels["energy"] for e in found] == [-1.0, -2.0, -3.0]
    np.testing.assert_allclose(found[1].labels["stress"], STRESS)
    np.testing.assert_allclose(found[1].atoms.get_velocities(), 0.1)
    assert found[2].labels["gap"] == 1.0
    assert found[2].tags == {"group": "md"}
    assert found[2].quantities["stress"].unit == "eV/Å³"
    (tmp_path / "b.traj").write_bytes((tmp_path / "a.traj").read_bytes()[:100])
    assert "damaged, or cut off" in failing(tmp_path / "b.traj")[1]
    (tmp_path / "c.traj").write_bytes(b"PickleTrajectory" + pickle.dumps({"a": 1}))
    assert "pickle" in failing(tmp_path / "c.traj")[1]
    (tmp_path / "d.traj").write_text("hello")
    assert "not a trajectory" in failing(tmp_path / "d.traj")[1]


@pytest.mark.parametrize("name", ["a.lammpstrj", "a.dump", "dump.run"])
@pytest.mark.parametrize("places", ["x y z", "xu yu zu", "xs ys zs", "xsu ysu zsu"])
def test_dumps(tmp_path: Path, name: str, places: str) -> None:
    path = tmp_path / name
    path.write_text(dump(STEPS, columns=f"id type element {places} fx fy fz c_pe"))
    found = entries(path)
    for entry, step in zip(found, STEPS, strict=True):
        assert str(entry.atoms.symbols) == "Cu2Zn"
        np.testing.assert_allclose(entry.atoms.positions, step.places @ CELL, atol=1e-5)
        np.testing.assert_allclose(entry.atoms.cell.array, CELL, atol=1e-6)
        np.testing.assert_allclose(entry.labels["forces"], FORCES)
        assert entry.labels["c_pe"].tolist() == [-1.5, -2.5, -3.5]
        assert entry.quantities["forces"].unit == ""
        assert "unit unknown" in entry.notes[0]
    assert [e.labels["step"] for e in found] == [0, 10, 20]
    theirs = ase.io.read(path, 1, format="lammps-dump-text")
    assert theirs.get_chemical_symbols() == list(SYMBOLS)
    np.testing.assert_allclose(
        theirs.get_all_distances(mic=True), found[1].atoms.get_all_distances(mic=True), atol=1e-5
    )


@pytest.mark.parametrize("tilts", [(0, 0, 0), (1.5, -0.5, -0.7), (-1, 0.5, 0.3), (-1, -0.4, -0.2), (1, 1, 1)])
def test_tilted_boxes_of_dumps(tmp_path: Path, tilts: tuple[float, float, float]) -> None:
    cell = np.diag([4.0, 5, 6])
    cell[1, 0], cell[2, 0], cell[2, 1] = tilts
    for places in ("x y z", "xs ys zs"):
        (tmp_path / "a.dump").write_text(dump(STEPS[:1], columns=f"id element {places}", cell=cell))
        (entry,) = entries(tmp_path / "a.dump")
        np.testing.assert_allclose(entry.atoms.cell.array, cell, atol=1e-6)
        np.testing.assert_allclose(entry.atoms.get_scaled_positions(wrap=False), PLACES, atol=1e-6)


def test_units_and_boundaries_of_dumps(tmp_path: Path) -> None:
    path = tmp_path / "a.dump"
    columns = "element id x y z vx vy vz fx fy fz"
    path.write_text(dump(STEPS[:2], columns=columns, units="metal", pbc="pp pp ff"))
    first, second = entries(path)
    assert first.atoms.pbc.tolist() == second.atoms.pbc.tolist() == [True, True, False]
    np.testing.assert_allclose(second.atoms.get_velocities() * units.fs * 1e3, [[0, 0.5, 1.0]] * 3)
    assert second.quantities["forces"].unit == "eV/Å"
    path.write_text(dump(STEPS[:2], columns=columns, units="real"))
    first, _ = entries(path)
    np.testing.assert_allclose(first.labels["forces"], FORCES * units.kcal / units.mol)
    np.testing.assert_allclose(first.atoms.get_velocities() * units.fs, [[0, 0.5, 1.0]] * 3)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("element ", "kind ", "names no elements; write the dump with 'element'"),
        ("Zn", "1", "'1' is no element"),
        ("x y z", "a b c", "has no positions"),
        ("0.10000000", "1_000", "fx of a row is '1_000', not a number"),
        ("-1.50000000", "", "columns"),
        ("OF ATOMS\n3", "OF ATOMS\nthree", "no number of atoms"),
        ("ITEM: TIMESTEP", "ITEM: STEP", "no dump of LAMMPS"),
    ],
)
def test_dumps_that_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "a.dump").write_text(dump(STEPS[:1]).replace(old, new))
    found, said = failing(tmp_path / "a.dump")
    assert not found
    assert says in said


@pytest.mark.parametrize("units", ["lj", "electron", "si"])
def test_dumps_in_other_lengths_are_refused(tmp_path: Path, units: str) -> None:
    (tmp_path / "a.dump").write_text(dump(STEPS[:1], units=units))
    assert f"units {units}: lengths are in" in failing(tmp_path / "a.dump")[1]


def test_columns_of_dumps_have_no_unit_whatever_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "a.dump").write_text(dump(STEPS[:1]).replace("c_pe", "energy").replace("Zn", "D"))
    (entry,) = entries(tmp_path / "a.dump")
    assert (entry.quantities["energy"].level, entry.quantities["energy"].unit) == ("site", "")
    assert (entry.atoms.get_chemical_formula(), entry.warnings) == ("HCu2", ("deuterium; taken as H",))
