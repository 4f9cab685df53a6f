"""A σ of the right size: fitted on structures that taught nothing, kept in the model, said wherever σ is."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from common import small_cache
from common.some_trainings import train
from reference.some_potentials import model_of
from train.test_training import ENERGY, plan

from crystalcli import load_model
from crystalcli.calibrate import calibrating
from crystalcli.calibrate.calibrating import CalibrationPlan
from crystalcli.cli.main import run
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.model import model_file
from crystalcli.prediction.rows import Row
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def noisy(path: Path, n: int, seed: int) -> Path:
    """Structures that training never saw, with labels that scatter by 0.3 eV/atom."""
    structures = small_cache.crystals(n, seed)
    labels = small_cache.energies(structures) + np.random.default_rng(seed).normal(0, 0.3, n)
    named = Column(small_cache.ENERGY, labels, np.ones(n, dtype=bool))
    return small_cache.write(path, structures=structures, columns=[named], stem=f"other {seed}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("calibrating")
    cache = small_cache.write(home / "graphs.h5")
    train(plan(cache, home / "e"), ensemble=2)
    noisy(home / "new.h5", 300, 1)
    noisy(home / "more.h5", 1200, 2)
    return home


def calibrated(home: Path, output: Path, **changes: object) -> calibrating.CalibrationReport:
    wish = {"model": home / "e", "inputs": (str(home / "new.h5"),), **changes}
    return calibrating.run(CalibrationPlan(output=output, **wish))  # type: ignore[arg-type]


def errors_and_rows(model: Path, cache: Path, table: Path) -> tuple[np.ndarray, list[dict[str, str]]]:
    assert run(["predict", str(model), str(cache), "-o", str(table), "--overwrite", "--quiet"]) == 0
    with table.open() as file:
        rows = list(csv.DictReader(file))
    return np.array([float(r[f"{ENERGY} [eV/atom]"]) for r in rows]), rows


def test_sigma_is_as_large_as_errors_are(home: Path, tmp_path: Path) -> None:
    report = calibrated(home, tmp_path / "c.safetensors")
    assert report.fits[ENERGY].n == report.fits[ENERGY].structures == 300
    labels = dict(zip(*_labels(home / "more.h5"), strict=True))
    value, rows = errors_and_rows(tmp_path / "c.safetensors", home / "more.h5", tmp_path / "p.csv")
    z = np.array(
        [(v - labels[r["id"]]) / float(r[f"{ENERGY} sigma [eV/atom]"]) for v, r in zip(value, rows, strict=True)]
    )
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.2)
    for level in ("68", "90", "95"):
        low, high = (np.array([float(r[f"{ENERGY} {end}_{level} [eV/atom]"]) for r in rows]) for end in ("low", "high"))
        true = np.array([labels[r["id"]] for r in rows])
        chance = int(level) / 100
        scatter = np.sqrt(chance * (1 - chance) * (1 / 300 + 1 / 1200))  # of the level that 300 know, and of the count
        assert np.mean((low <= true) & (true <= high)) == pytest.approx(chance, abs=3 * scatter)
    assert {r[f"{ENERGY} calibration"] for r in rows} == {"conformal"}
    parts = [np.array([float(r[f"{ENERGY} {w} [eV/atom]"]) for r in rows]) for w in ("sigma", "sigma_a", "sigma_e")]
    np.testing.assert_allclose(parts[0], np.hypot(*parts[1:]), rtol=1e-9)


def _labels(cache: Path) -> tuple[list[str], list[float]]:
    from crystalcli.engine.data.dataset import GraphDataset

    data = GraphDataset.open([cache])
    return list(data.ids), data.columns[ENERGY].values.tolist()


def test_the_file_holds_it_and_equal_runs_are_equal_bytes(home: Path, tmp_path: Path) -> None:
    first = calibrated(home, tmp_path / "a.safetensors")
    calibrated(home, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    model, provenance = model_file.load(tmp_path / "a.safetensors")
    assert model.sigma_fits == first.fits
    assert list(first.fits[ENERGY].data) == ["new.h5"]
    assert provenance == model_file.load(home / "e" / "model.safetensors")[1]
    # again, of the calibrated model: a fit takes the place of the one before, and is not multiplied with it
    again = calibrated(home, tmp_path / "a.safetensors", model=tmp_path / "a.safetensors", overwrite=True)
    assert again.fits == first.fits
    with pytest.raises(UsageError, match="--overwrite"):
        calibrated(home, tmp_path / "a.safetensors")


def test_what_taught_the_model_is_refused_by_number(home: Path, tmp_path: Path) -> None:
    taught = (str(home / "graphs.h5"),)
    split = model_file.load(home / "e" / "model.safetensors")[1]["split"]
    known = len(split["train"]) + len(split["val"])
    with pytest.raises(
        UsageError, match=rf"{known} of 42 labelled structures, by their crystals, trained or validated.*--skip-known"
    ):
        calibrated(home, tmp_path / "c.safetensors", inputs=taught)
    with pytest.raises(UsageError, match="ten labels"):  # what is left is the small test part
        calibrated(home, tmp_path / "c.safetensors", inputs=taught, skip_known=True)
    both = calibrated(home, tmp_path / "c.safetensors", inputs=(*taught, str(home / "new.h5")), skip_known=True)
    assert both.skipped == known
    assert both.fits[ENERGY].n == 300 + len(split["test"])


def test_a_model_without_sigma_gets_one(home: Path, tmp_path: Path) -> None:
    train(plan(home / "graphs.h5", tmp_path / "one"))
    report = calibrated(home, tmp_path / "c.safetensors", model=tmp_path / "one", method="scale")
    assert not report.fits[ENERGY].half_widths
    assert not report.before
    found = load_model(tmp_path / "c.safetensors").predict(small_cache.crystals(3))
    assert {f[ENERGY].sigma for f in found} == {report.fits[ENERGY].factor}
    assert found[0][ENERGY].calibration == "scale"
    value = np.array(
        [f[ENERGY].value for f in load_model(tmp_path / "c.safetensors").predict(small_cache.crystals(300, 1))]
    )
    errors = value - np.array(_labels(home / "new.h5")[1])
    assert report.fits[ENERGY].factor == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)
    assert load_model(tmp_path / "one").predict(small_cache.crystals(1))[0][ENERGY].calibration is None


def test_what_trains_on_is_uncalibrated_again(home: Path, tmp_path: Path) -> None:
    calibrated(home, tmp_path / "c.safetensors")
    started = plan(home / "graphs.h5", tmp_path / "on", from_=tmp_path / "c.safetensors")
    train(started)
    assert model_file.load(tmp_path / "on" / "model.safetensors")[0].sigma_fits == {}


def test_files_of_one_name_are_both_kept(home: Path, tmp_path: Path) -> None:
    """By their paths; a file that has its name alone by that."""
    paths = [noisy(tmp_path / name / "new.h5", 12, seed) for seed, name in enumerate(("a", "b"), 5)]
    inputs = tuple(map(str, (*paths, home / "more.h5")))
    data = calibrated(home, tmp_path / "c.safetensors", inputs=inputs).fits[ENERGY].data
    assert list(data) == [str(paths[0]), str(paths[1]), "more.h5"]
    assert len(set(data.values())) == 3


def test_totals_without_sigma_are_measured_per_atom() -> None:
    """The fit is σ itself then, of an atom: the error of a crystal of n atoms is n of them."""
    total, value = Quantity("energy", "eV", extensive=True), Quantity("gap", "eV")
    atoms = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    row = Row("a", "", atoms, {"energy": -7.0, "gap": 1.0}, labels={"energy": -8.0, "gap": 1.5})
    for quantity, error, unit in ((total, 1.0, 8.0), (value, -0.5, 1.0)):
        found = calibrating._errors(quantity, [row, replace(row, labels={})], None)
        assert (found[0].tolist(), found[1].tolist(), found[2]) == ([error], [unit], 1)


def labels_for_a_potential(folder: Path, n: int, label: str) -> None:
    """An untrained potential, and structures that have energies, or forces."""
    model_file.save(folder / "potential.safetensors", model_of(), {})
    rng, made = np.random.default_rng(3), []
    for k in range(n):
        atoms = crystals.rattled(k)
        labels = {"energy": float(rng.normal()), "forces": rng.normal(size=(len(atoms), 3))}
        atoms.calc = SinglePointCalculator(atoms, **{label: labels[label]})
        made.append(atoms)
    ase.io.write(folder / "new.extxyz", made)


def test_of_a_potential_what_has_labels_is_calibrated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The rest is named in one line, and stays as it was."""
    labels_for_a_potential(tmp_path, 20, "energy")
    words = ["calibrate", str(tmp_path / "potential.safetensors"), str(tmp_path / "new.extxyz"), "-o"]
    assert run([*words, str(tmp_path / "c.safetensors"), "--method", "scale"]) == 0
    (said,) = [line for line in capfd.readouterr().err.splitlines() if "left out" in line]
    assert "forces, stress, of which no structure has a label; --labels forces=KEY says what the files call" in said
    first = model_file.load(tmp_path / "c.safetensors")[0].sigma_fits
    assert {name: fit.n for name, fit in first.items()} == {"energy": 20}
    labels_for_a_potential(tmp_path, 25, "forces")
    words[1] = str(tmp_path / "c.safetensors")
    assert run([*words, words[1], "--overwrite"]) == 0
    again = model_file.load(tmp_path / "c.safetensors")[0].sigma_fits
    assert again["energy"] == first["energy"]
    assert {name: fit.structures for name, fit in again.items()} == {"energy": 20, "forces": 25}


def test_errors_that_are_zero_leave_a_model_that_can_be_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Symmetry forbids forces: of all labels nothing is known of their σ, of most an interval has no width."""
    model_file.save(tmp_path / "potential.safetensors", model_of(), {})
    rng, single, made = np.random.default_rng(3), ase.build.bulk("Ti", "fcc", a=4.0), []
    for _ in range(30):
        atoms = single.copy()
        atoms.cell *= rng.uniform(0.95, 1.05)
        atoms.calc = SinglePointCalculator(atoms, energy=float(rng.normal()), forces=np.zeros((1, 3)))
        made.append(atoms)
    ase.io.write(tmp_path / "new.extxyz", made)
    words = ["calibrate", str(tmp_path / "potential.safetensors"), str(tmp_path / "new.extxyz"), "--overwrite", "-o"]
    assert run([*words, str(tmp_path / "c.safetensors"), "--levels", "0.5"]) == 0
    assert "left out: forces, of which all 90 errors are zero" in capfd.readouterr().err
    assert set(model_file.load(tmp_path / "c.safetensors")[0].sigma_fits) == {"energy"}
    atoms = crystals.rattled(0)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=rng.normal(size=(len(atoms), 3)))
    ase.io.write(tmp_path / "new.extxyz", [*made, atoms])
    assert run([*words, str(tmp_path / "c.safetensors"), "--levels", "0.5"]) == 0
    fit = model_file.load(tmp_path / "c.safetensors")[0].sigma_fits["forces"]
    assert fit.half_widths == {"0.5": 0.0}
    assert fit.factor > 0.0


@pytest.mark.parametrize(("values", "why"), [(30, "its sigma is zero for 1 of "), (9, "calibration needs ten labels")])
def test_a_target_that_cannot_be_calibrated_keeps_no_other_from_it(
    values: int, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The members of an ensemble agree on one force; or there are too few of them."""
    labels_for_a_potential(tmp_path, 20, "energy")
    before = calibrating._errors

    def found(quantity: Quantity, rows: list[Row], head: object) -> tuple[np.ndarray, np.ndarray, int]:
        if quantity.name != "forces":
            return before(quantity, rows, head)
        return np.ones(values), np.arange(values) + float(values < 10), 3

    monkeypatch.setattr(calibrating, "_errors", found)
    words = ["calibrate", str(tmp_path / "potential.safetensors"), str(tmp_path / "new.extxyz"), "--levels", "0.9,0.99"]
    assert run([*words, "-o", str(tmp_path / "c.safetensors")]) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "left out" in line]
    assert [line.partition(" left out: ")[2].partition(":")[0] for line in said[:2]] == ["energy", "forces"]
    assert "energy: an interval of 0.99 needs 99 labels" in said[0]
    assert f"forces: {why}" in said[1]
    assert set(model_file.load(tmp_path / "c.safetensors")[0].sigma_fits) == {"energy"}


def test_without_any_label_nothing_is_calibrated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    labels_for_a_potential(tmp_path, 9, "energy")
    words = ["calibrate", str(tmp_path / "potential.safetensors"), str(tmp_path / "new.extxyz")]
    assert run([*words, "--labels", "energy=E_ref"]) == 2
    said = capfd.readouterr().err
    assert "9 without a label, 0 left out, 0 failed); --labels energy=KEY says what the files call energy" in said
    assert "no structure has a label 'E_ref' to compare 'energy' with; they have: energy" in said
    assert run(words) == 2
    assert "energy: calibration needs ten labels or more" in capfd.readouterr().err
    assert not list(tmp_path.glob("*-calibrated*"))


def test_at_the_command_line(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = ["calibrate", str(home / "e"), str(home / "new.h5"), "-o", str(tmp_path / "c.safetensors")]
    assert run([*told, "--levels", "0.5,0.9", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert list(said["sigma"][ENERGY]["half_widths"]) == ["0.5", "0.9"]
    assert said["before"][ENERGY]["n"] == 300
    assert (
        run(["predict", str(tmp_path / "c.safetensors"), str(home / "more.h5"), "-o", str(tmp_path / "p.jsonl")]) == 0
    )
    out = capfd.readouterr().out
    assert f"sigma of {ENERGY} (conformal): " in out
    assert f"intervals of {ENERGY} hold: of 50 % " in out
    assert (
        json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])["predictions"][ENERGY]["calibration"]
        == "conformal"
    )
    assert run(["predict", str(home / "e"), str(home / "more.h5"), "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert {r["predictions"][ENERGY]["calibration"] for r in rows} == {"uncalibrated"}
    assert run([*told[:-1], str(tmp_path / "d.safetensors"), "--levels", "0.5", "--method", "scale"]) == 2
    assert "--levels is for the intervals of --method conformal, and scale has none" in capfd.readouterr().err
    for wrong in ("1.5", "many"):
        assert run([*told[:-1], str(tmp_path / "d.safetensors"), "--levels", wrong]) == 2
    assert run([*told[:-1], str(tmp_path / "d.safetensors"), "--levels", "0.999"]) == 2
    assert "needs 999 labels or more; there are 300" in capfd.readouterr().err
    assert run([*told[:-1], str(tmp_path / "d.safetensors"), "--levels", "0.5,0.999"]) == 0
    assert f"warning: left out: {ENERGY}: an interval of 0.999 needs 999 labels" in capfd.readouterr().err


def test_columns_of_a_table_are_chosen(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    structures = small_cache.crystals(30, 5)
    rows = [["code", "cif_start", "cif_end", ENERGY]]
    for k, (atoms, energy) in enumerate(zip(structures, small_cache.energies(structures), strict=True)):
        text = io.BytesIO()
        ase.io.write(text, atoms, format="cif")
        rows.append([f"c{k}", "data_none", text.getvalue().decode(), energy + 0.1 * (-1) ** k])
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    words = ["calibrate", str(home / "e"), str(tmp_path / "t.csv"), "-o", str(tmp_path / "c.safetensors"), "--json"]
    assert run(words) == 2
    assert "several CIF columns: cif_start, cif_end; choose one with --cif-column" in capfd.readouterr().err
    assert run([*words, "--cif-column", "cif_end", "--id-column", "code", "--method", "scale"]) == 0
    assert json.loads(capfd.readouterr().out)["before"][ENERGY]["n"] == 30
