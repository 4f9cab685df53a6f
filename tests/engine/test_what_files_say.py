"""From what a file says to a column of labels, or to a line that says why not: nothing is lost on the way."""

import json
from pathlib import Path

import ase
import ase.build
import ase.db
import ase.io
import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from corpus.legal import JSONS, NINE, SIX

from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan, BuildReport
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.labels import LabelFinder
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.quantities import Quantity

GPA = 1.0 / 160.21766208


def write(path: Path, *said: str) -> str:
    """Frames of two copper atoms in 4 × 4 × 4 Å, a little different each, with so much in their comment lines."""
    frames = [
        f'2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3 {text}\n'
        f"Cu 0 0 0 0.1 0 0\nCu 2 2 {0.01 * k} -0.1 0 0\n"
        for k, text in enumerate(said)
    ]
    path.write_text("".join(frames))
    return str(path)


def built(tmp_path: Path, path: str, *targets: str) -> tuple[BuildReport, GraphCache]:
    report = build(BuildPlan((path,), tmp_path / "graphs.h5", "cgcnn", targets=targets, overwrite=True))
    return report, GraphCache(report.output)


def said(report: BuildReport) -> str:
    return "\n".join((*report.audit.lines, *report.seen.lines(), *report.audit.warnings))


@pytest.mark.parametrize("key", ["REF_stress", "dft_stress", "mace_stress"])
@pytest.mark.parametrize(
    "written", ['"0.01 0 0 0 0.02 0 0 0 0.03"', '"0.01 0.02 0.03 0 0 0"', "[[1,0,0],[0,2,0],[0,0,3]]"]
)
def test_a_stress_under_a_name_of_ones_own(tmp_path: Path, key: str, written: str) -> None:
    path = write(tmp_path / "a.xyz", f"REF_energy=-7 {key}={written}", f"REF_energy=-7.1 {key}={written}")
    with pytest.raises(UsageError, match=rf"{key} \(2\)"):
        built(tmp_path, path)
    report, cache = built(tmp_path, path, "energy=REF_energy", f"stress={key}")
    expected = np.array([1.0, 2, 3, 0, 0, 0]) * (1.0 if "[[" in written else 0.01)
    np.testing.assert_allclose(cache.columns["stress"].values, [expected, expected])
    assert cache.columns["stress"].quantity == Quantity("stress", "eV/Å³", shape=(6,))
    assert f"label '{key}' is taken in eV/Å³, tension positive, xx yy zz yz xz xy, as nothing says" in said(report)
    assert ("of six numbers is taken as xx yy zz yz xz xy" in said(report)) == ("0.02 0.03" in written)
    _, cache = built(tmp_path, path, f"stress={key}:-kbar")
    np.testing.assert_allclose(cache.columns["stress"].values[0], -0.1 * GPA * expected)
    report, cache = built(tmp_path, path, key)
    np.testing.assert_allclose(cache.columns[key].values[0], expected)
    assert cache.columns[key].quantity.shape == (6,)
    assert f"stress={key}[:UNIT] makes it the stress" in said(report)


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("virial", '"1 0 0 0 2 0 0 0 3"'),
        ("virials", "[[1,0,0],[0,2,0],[0,0,3]]"),
        ("REF_virial", '"1 2 3 0 0 0"'),
        ("dft_virial", '"1.0D0 0 0 0 2 0 0 0 3"'),
    ],
)
@pytest.mark.parametrize("derived", [True, False])
def test_a_virial_is_a_stress(tmp_path: Path, key: str, written: str, derived: bool) -> None:
    path = write(tmp_path / "a.xyz", f"energy=-7 {key}={written}", f"energy=-7.1 {key}={written}")
    report, cache = built(tmp_path, path, "energy", f"stress={'stress_from_' * derived}{key}")
    np.testing.assert_allclose(cache.columns["stress"].values[0], [-1 / 64, -2 / 64, -3 / 64, 0, 0, 0])
    assert ("stress is −virial/V" in said(report)) != derived
    assert f"{key} (" not in said(report)


def test_a_stress_that_contradicts_energies_of_another_name(tmp_path: Path) -> None:
    frames = []
    for k in range(4):
        atoms = ase.build.bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell * (0.99 + 0.005 * k), scale_atoms=True)
        atoms.calc = EMT()
        frames.append((atoms.get_potential_energy(), atoms.get_stress() / GPA))
        info = {"REF_energy": frames[-1][0], "REF_stress": " ".join(f"{x:.8f}" for x in frames[-1][1])}
        atoms.calc = None
        atoms.info = info
        ase.io.write(tmp_path / "a.xyz", atoms, format="extxyz", append=k > 0)
    path = str(tmp_path / "a.xyz")
    with pytest.raises(UsageError, match=r"contradicts the energies.*--targets stress=REF_stress:GPa does not"):
        built(tmp_path, path, "energy=REF_energy", "stress=REF_stress")
    report, _ = built(tmp_path, path, "energy=REF_energy", "stress=REF_stress:GPa")
    assert "agrees with the energies" in said(report)


@pytest.mark.parametrize("written", ['"0.1 0.2 0.3"', "[0.1, 0.2, 0.3]", "0.1,0.2,0.3"])
def test_vectors_and_tensors(tmp_path: Path, written: str) -> None:
    tensor = 'eps="1 0.6 0.5 0.6 2 0.4 0.5 0.4 3"'
    twisted = 'axis="0 1 0 0 0 1 1 0 0"'
    text = f"energy=-7 dipole={written} {tensor} {twisted}"
    path = write(tmp_path / "a.xyz", text, f"{text} energy=-7")
    report, cache = built(tmp_path, path, "dipole", "eps", "axis")
    assert cache.columns["dipole"].quantity == Quantity("dipole", "e·Å", shape=(3,))
    np.testing.assert_allclose(cache.columns["dipole"].values, [[0.1, 0.2, 0.3]] * 2)
    np.testing.assert_allclose(cache.columns["eps"].values[1], SIX)
    np.testing.assert_allclose(cache.columns["axis"].values[1], [0, 1, 0, 0, 0, 1, 1, 0, 0])
    assert "label 'eps' is kept as xx yy zz yz xz xy" in said(report)
    assert "label 'axis' is kept as 9 numbers, as written" in said(report)
    assert "extended XYZ: seen and left out: energy (a number), forces (3 per atom)" in report.seen.lines()
    with pytest.raises(UsageError, match="is an array: '/atom' has no meaning"):
        built(tmp_path, path, "dipole/atom")


def test_one_number_here_and_two_there_are_no_label(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xyz", "e=1", 'e="1 2"')
    with pytest.raises(UsageError, match=r"one per structure, unit unknown in .*xyz:0 and 2 numbers per structure"):
        built(tmp_path, path, "e")


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("****", "Fortran prints stars"),
        ("-7,1", "a decimal comma"),
        ("1_000", "no underscores"),
        ('"-7.1 eV"', "write the number alone"),
        ('"-7.1 -7.2"', "several numbers"),
        ("pending", "not a number"),
    ],
)
def test_an_energy_that_is_no_number(tmp_path: Path, word: str, why: str) -> None:
    path = write(tmp_path / "a.xyz", "energy=-7", f"energy={word}", "energy=-7.2")
    report, cache = built(tmp_path, path, "energy", "forces")
    assert report.exit_code == Exit.SOME_FAILED
    assert [(f.stage, f.path) for f in report.failures] == [("label", f"{path}:1")]
    assert why in report.failures[0].reason
    assert cache.columns["energy"].values.tolist() == [-7.0, -7.2]
    report, _ = built(tmp_path, path, "forces")
    assert report.n_structures == 3, "the energy is not needed"
    assert "energy (a number; 2 of 3), energy ('" in said(report)
    assert why in said(report)
    alone = write(tmp_path / "b.xyz", f"energy={word}")
    with pytest.raises(UsageError, match=r"forces \(1\)"):
        built(tmp_path, alone)


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "N/A", "?"])
def test_words_for_nothing_are_masked_and_counted(tmp_path: Path, word: str) -> None:
    path = write(tmp_path / "a.xyz", "energy=-7", f"energy={word}", "energy=-7.2")
    report, cache = built(tmp_path, path, "energy")
    assert cache.columns["energy"].mask.tolist() == [True, False, True]
    assert "a.xyz:1" in said(report)


def test_quoted_numbers_of_json_are_read_where_asked_for(tmp_path: Path) -> None:
    (path,) = [tmp_path / c.name for c in JSONS if c.name == "record_quoted.json"]
    path.write_bytes(next(c.content.encode() for c in JSONS if c.name == path.name))  # type: ignore[union-attr]
    _, cache = built(tmp_path, str(path), "gap:eV")
    assert cache.columns["gap"].values.tolist() == [1.5]


def test_stress_and_forces_of_mptrj(tmp_path: Path) -> None:
    (legal,) = [c for c in JSONS if c.name == "mptrj.json"]
    (tmp_path / legal.name).write_text(str(legal.content))
    report, cache = built(tmp_path, str(tmp_path / legal.name), "energy_per_atom", "forces=force", "stress", "magmom")
    np.testing.assert_allclose(cache.columns["stress"].values[0], -0.1 * GPA * np.array(SIX))
    assert cache.columns["forces"].quantity == Quantity("forces", "eV/Å", "site", shape=(3,))
    assert cache.columns["magmom"].mask.tolist() == [True, False] * 2
    assert "taken in kbar, compression positive" in said(report)
    assert "corrected_total_energy (a number)" in said(report)


def test_what_a_database_says(tmp_path: Path) -> None:
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.5, stress=np.array(SIX), dipole=np.array([0.1, 0.2, 0.3]))
    data = {"REF_stress": np.array(NINE), "dos": np.zeros(1000), "bader": np.array([0.9, -0.9]), "how": {"code": "x"}}
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(atoms, gap=1.25, group="md-1", data=data)
    report, cache = built(tmp_path, str(tmp_path / "a.db"), "stress", "REF_stress", "bader", "dipole", "gap")
    np.testing.assert_allclose(cache.columns["stress"].values, [SIX])
    np.testing.assert_allclose(cache.columns["REF_stress"].values, [SIX])
    assert cache.columns["bader"].quantity.level == "site"
    np.testing.assert_allclose(cache.columns["dipole"].values, [[0.1, 0.2, 0.3]])
    (line,) = report.seen.lines()
    assert line.startswith("ASE database: seen and left out: dos (1000 numbers), how (a record), energy (a number)")
    assert line.endswith("kept as tags: group")
    assert "six numbers" not in said(report), "ASE says the order of its own stress"


def test_lines_are_said_once_for_a_kind_of_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.xyz", 'energy=1 config_type=bulk matrix="_JSON [[1, 2], [3, 4]]"', "energy=2", "energy=3")
    write(tmp_path / "b.xyz", "energy=1 dipole=[1,2,3]")
    Path("POSCAR").write_text("t\n1\n4 0 0\n0 4 0\n0 0 4\nCu\n1\nDirect\n0 0 0\nmade by hand\n")
    line = "build-graphs a.xyz b.xyz POSCAR --targets energy --json"
    assert run(line.split()) == 0
    captured = capsys.readouterr()
    told, found = captured.err, json.loads(captured.out)
    assert {"files": "extended XYZ", "name": "dipole", "what": "3 numbers", "structures": 1} in found[
        "seen_and_left_out"
    ]
    assert {"files": "extended XYZ", "name": "config_type", "structures": 1} in found["kept_as_tags"]
    assert told.count("seen and left out") == 2
    assert "matrix (2 × 2 numbers; 1 of 4), forces (3 per atom), dipole (3 numbers; 1 of 4)" in told
    assert "POSCAR: seen and left out: text behind the positions ('made by hand')" in told
    assert "kept as tags: config_type" in told


def test_predictions_are_compared_with_quoted_numbers_and_words_are_told() -> None:
    heard: list[str] = []
    finder = LabelFinder([Quantity("gap", "eV")], [LabelRequest.parse("gap=egap")], heard.append)
    atoms = ase.build.bulk("Cu")
    assert finder.of(Entry("a", atoms, "a.json:0", tags={"egap": "1.5D0"})) == {"gap": 1.5}
    assert finder.of(Entry("b", atoms, "a.json:1", tags={"egap": "None"})) == {}
    assert heard == []
    for k in (2, 3):
        assert finder.of(Entry("c", atoms, f"a.json:{k}", tags={"egap": "1,5"})) == {}
    (line,) = heard
    assert line.startswith("a.json:2: label 'egap' is '1,5', not a number (a decimal comma?")
