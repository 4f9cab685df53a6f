"""Labels that are positions: their scale, their errors, the structures that come out; and heads that count errors."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
import torch
import toy_slabs
from common.some_trainings import asked, changed, train

from crystalcli import load_model
from crystalcli.calibrate import calibrating
from crystalcli.contracts.counting import Counted, count
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.normalisers import target_statistics
from crystalcli.engine.drawing import plots
from crystalcli.engine.model import model_file
from crystalcli.engine.read.reading import read_file
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan, BuildReport
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.errors import Compared
from crystalcli.prediction.output import Writer
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.prediction.structures import moved
from crystalcli.train import view
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

NAME = "relaxed_positions"
PLACE = Quantity(NAME, "Å", "site", shape=(3,), meaning="position")
PLAN = BuildPlan((), Path(), "radius", {"cutoff": 4.0}, (NAME,), place=Place(0), fields=("fixed", "tags"))


@pytest.fixture(scope="module", autouse=True)
def plugin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_PLUGINS", str(toy_slabs.PLUGIN))
        registry.cache_clear()
        yield
    registry.cache_clear()


def built(folder: Path, name: str, structures: list[ase.Atoms], **changes: Any) -> BuildReport:
    source = toy_slabs.write(folder / f"{name}.extxyz", structures)
    return build(replace(PLAN, inputs=(str(source),), output=folder / f"{name}.h5", **changes))


def plan(folder: Path, cache: Path, head: str, **changes: Any) -> Request:
    made = asked(
        arch="held",
        head=head,
        output=str(folder / "run"),
        caches=(str(cache),),
        recipe=Recipe(batch_size=4, epochs=25, lr=3e-2, loss="l1", schedule="constant"),
        split="random",
        fractions="0.7,0.15,0.15",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mover")
    report = built(folder, "train", toy_slabs.slabs(24))
    train(plan(folder, report.output, "mover"))
    return folder / "run"


def displacements(structures: list[ase.Atoms]) -> np.ndarray:
    return np.concatenate([toy_slabs.pull(a) for a in structures])


def labelled(structures: list[ase.Atoms]) -> np.ndarray:
    """Which atoms have a label: those that may move and have a place in the file."""
    return np.concatenate([np.isfinite(a.arrays[NAME]).all(1) & toy_slabs.free(a) for a in structures])


def test_a_column_of_places_is_known_by_its_name_and_can_be_declared(tmp_path):
    structures = toy_slabs.slabs(4)
    report = built(tmp_path, "a", structures)
    assert any("compared by the nearest image" in line for line in report.audit.lines)
    quantity = GraphDataset.open([report.output]).columns[NAME].quantity
    assert (quantity.meaning, quantity.unit, quantity.level, quantity.shape) == ("position", "Å", "site", (3,))
    for atoms in structures:
        atoms.set_array("end", atoms.arrays.pop(NAME))
    other = built(tmp_path, "b", structures, targets=(f"{NAME}=end:position",))
    assert GraphDataset.open([other.output]).columns[NAME].quantity == quantity
    plain = built(tmp_path, "c", structures, targets=(f"{NAME}=end",))
    assert GraphDataset.open([plain.output]).columns[NAME].quantity.meaning == ""
    with pytest.raises(UsageError, match="only three numbers per atom are its position"):
        built(tmp_path, "d", structures, targets=("depth:position",))
    with pytest.raises(UsageError, match=f"head 'mover' learns '{NAME}'"):
        train(plan(tmp_path, plain.output, "mover"))


def test_the_scale_is_that_of_the_displacements(tmp_path):
    structures = toy_slabs.slabs(8)
    structures[3].arrays[NAME][-1] = np.nan  # one without label
    data = GraphDataset.open([built(tmp_path, "a", structures).output])
    index = np.array([1, 3, 4])
    found = target_statistics(data, [NAME], index)
    chosen = [next(a for a in structures if a.info["id"] == data.ids[k]) for k in index]
    moved = displacements(chosen)
    known = labelled(chosen)
    assert 0 < known.sum() < len(known)
    assert found.target_mean[NAME] == 0.0
    assert found.target_scale[NAME] == pytest.approx(np.sqrt(np.mean(np.square(moved[known]))), rel=1e-6)


def test_errors_of_training_are_distances_by_the_nearest_image(run):
    report = json.loads((run / "report.json").read_text())
    model, identity = (report["test"][NAME][k] for k in ("model", "baselines"))
    identity = identity["identity"]
    with (run / "predictions-test-sites.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = {a.info["id"]: a for a in toy_slabs.slabs(24)}
    distances, stay = [], []
    for row in rows:
        atoms, k = truth[row["id"]], int(row["site"])
        predicted = np.array([float(row[f"{NAME}_{c} predicted [Å]"]) for c in "xyz"])
        if not toy_slabs.free(atoms)[k]:
            assert row[f"{NAME}_x true [Å]"] == ""  # that a held atom stays is known
            continue
        moved = predicted - atoms.positions[k] - toy_slabs.pull(atoms)[k]
        distances.append(np.linalg.norm(moved))
        stay.append(np.linalg.norm(toy_slabs.pull(atoms)[k]))
    assert model["mae"] == pytest.approx(np.mean(distances), abs=2e-6)
    assert model["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(distances))), abs=2e-6)
    assert model["max_error"] == pytest.approx(max(distances), abs=2e-6)
    assert model["components"] == 3
    assert model["r2"] is None
    assert identity["mae"] == pytest.approx(np.mean(stay), abs=2e-6)
    assert model["mae"] < 0.6 * identity["mae"]
    log = (run / "log.txt").read_text()
    assert "val mean distance" in log
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all(m["val"][NAME]["mae"] < 0.5 for m in metrics)
    assert (run / "parity.png").stat().st_size > 1000


def test_errors_of_predictions_are_the_same_from_files_and_caches(run, tmp_path):
    structures = toy_slabs.slabs(6, seed=4)
    structures[2].arrays[NAME][-1] = np.nan
    report = built(tmp_path, "a", structures)
    known = labelled(structures)
    for source in (report.output, tmp_path / "a.extxyz"):
        predictor = Predictor(run)
        compared, found = Compared(predictor.quantities[0], predictor.model.head), {}
        for row in predictor.predict([str(source)]):
            assert isinstance(row, Row)
            compared.add(row)
            found[row.id] = row.values[NAME]
        start = np.concatenate([a.positions for a in structures])
        values = np.concatenate([found[a.info["id"]] for a in structures])
        by_id = {a.info["id"]: a for a in structures}
        distances = np.linalg.norm(values - start - displacements(structures), axis=1)[known]
        errors = compared.errors()
        assert errors is not None
        assert errors.n == known.sum()
        moved = np.reshape(compared.true, (-1, 3)) - np.reshape(compared.start, (-1, 3))
        expected = np.concatenate([toy_slabs.pull(next(a for a in structures if a.info["id"] == i)) for i in found])
        there = labelled([by_id[i] for i in found])
        np.testing.assert_allclose(moved, expected[there], atol=1e-5)
        compared.draw([tmp_path / "parity.png"], "")
        assert errors.mae == pytest.approx(distances.mean(), abs=2e-6)


class Silent:
    """A head that says errors of 0 where there is no label, as it may: nobody looks there."""

    def errors(self, predictions: Any, labels: Any, graph: Any) -> dict[str, Counted]:
        usual = count(PLACE, predictions[NAME].value, labels[NAME].value, graph).difference
        return {NAME: Counted(torch.where(labels[NAME].mask[:, None], usual, 0.0), by_norm=True)}


def test_what_a_head_says_of_atoms_without_a_label_does_not_count(run, tmp_path):
    structures = toy_slabs.slabs(6, seed=4)
    structures[2].arrays[NAME][-1] = np.nan
    source = toy_slabs.write(tmp_path / "new.extxyz", structures)
    rows = [r for r in Predictor(run).predict([str(source)]) if isinstance(r, Row)]
    said, usual = Compared(PLACE, Silent()), Compared(PLACE, None)
    for row in rows:
        sigma = np.where(np.isfinite(row.labels[NAME]), 0.1, 0.0)  # held atoms are sure to stay
        row.uncertainties[NAME] = {"sigma": sigma}
        said.add(row)
        usual.add(row)
    assert said.errors() == usual.errors()
    assert len(said.sigma) == 3 * labelled(structures).sum()
    error, sigma, n = calibrating._errors(PLACE, rows, Silent())
    assert (len(error), n) == (3 * labelled(structures).sum(), 6)
    assert (sigma == 0.1).all()


def test_shifting_a_label_by_lattice_vectors_changes_nothing(run, tmp_path):
    structures = toy_slabs.slabs(5, seed=6)
    other = [a.copy() for a in structures]
    for k, atoms in enumerate(other):
        atoms.arrays[NAME][k % len(atoms)] += 2 * atoms.cell[0] - atoms.cell[1]
    errors = []
    for name, some in (("a", structures), ("b", other)):
        toy_slabs.write(tmp_path / f"{name}.extxyz", some)
        predictor = Predictor(run)
        compared = Compared(predictor.quantities[0], predictor.model.head)
        for row in predictor.predict([str(tmp_path / f"{name}.extxyz")]):
            compared.add(row)
        errors.append(compared.errors())
    assert errors[0].mae == pytest.approx(errors[1].mae, abs=1e-7)
    assert errors[0].max_error == pytest.approx(errors[1].max_error, abs=1e-7)


def test_calibration_counts_them_so_too(run, tmp_path):
    source = toy_slabs.write(tmp_path / "new.extxyz", toy_slabs.slabs(9, seed=8))
    made = calibrating.CalibrationPlan(run, (str(source),), tmp_path / "c.safetensors", method="scale")
    report = calibrating.run(made)
    predictor = Predictor(run)
    rows = [r for r in predictor.predict([str(source)]) if isinstance(r, Row)]
    start = np.concatenate([r.atoms.positions for r in rows])
    those = [a for r in rows for a in toy_slabs.slabs(9, seed=8) if a.info["id"] == r.id]
    errors = (np.concatenate([r.values[NAME] for r in rows]) - start - displacements(those))[labelled(those)]
    assert report.fits[NAME].factor == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phase")
    structures = toy_slabs.slabs(20)
    for k, atoms in enumerate(structures):
        atoms.set_array("phase", 3.0 + 0.1 * atoms.numbers + 2 * np.pi * (k % 3))
    report = built(folder, "train", structures, targets=("phase:rad",))
    train(plan(folder, report.output, "phase", recipe=Recipe(batch_size=4, epochs=2, lr=1e-2)))
    return folder / "run"


def test_a_head_says_how_its_errors_are_counted(phases):
    report = json.loads((phases / "report.json").read_text())["test"]["phase"]
    with (phases / "predictions-test-sites.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = {a.info["id"]: a.numbers for a in toy_slabs.slabs(20)}
    said = np.array([float(r["phase predicted [rad]"]) for r in rows])
    true = np.array([3.0 + 0.1 * truth[r["id"]][int(r["site"])] for r in rows])
    error = np.degrees(np.angle(np.exp(1j * (said - true))))
    assert report["model"]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert report["model"]["unit"] == "°"
    assert report["baselines"]["mean"]["mae"] <= 180.0
    assert report["baselines"]["mean"]["unit"] == "°"
    metrics = [json.loads(line) for line in (phases / "metrics.jsonl").read_text().splitlines()]
    assert all(m["val"]["phase"]["unit"] == "°" for m in metrics)
    assert "°" in (phases / "log.txt").read_text()


@pytest.mark.parametrize("several", [{"seeds": 2}, {"ensemble": 2}, {"learning_curve": "6,12"}, {"folds": 2}])
def test_several_trainings_report_in_the_unit_in_which_the_head_counts(
    phases: Path, tmp_path: Path, several: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "save", lambda figure, _paths: drawn.append(figure))
    cache = next(phases.parent.glob("*.h5"))
    folds = {"all_folds": True} if "folds" in several else {}
    done = train(plan(tmp_path, cache, "phase", recipe=Recipe(batch_size=4, epochs=1, lr=1e-2), **several, **folds))
    (table,) = view.shown(done.data).tables
    assert "(°)" in str(table.title)
    if "learning_curve" in several:
        assert done.data["curves"]["phase"]["unit"] == "°"
        assert "MAE [°]" in next(done.folder.glob("*.csv")).read_text(encoding="utf-8")
        return
    row = done.data["test"]["phase"]
    assert row["unit"] == "°"
    assert not {"factor", "components"} & row["model"].keys()
    if "ensemble" in several:
        assert done.data["ensemble"]["phase"]["unit"] == "°"
        assert re.search(r"ensemble phase: test mae [\d.]+ ° ", (done.folder / "log.txt").read_text())
    words = [axes.get_title() for figure in drawn for axes in figure.axes]
    assert any(re.search(r"MAE [\d.]+ °", w) for w in words)
    curves = [axes.get_ylabel() for figure in drawn for axes in figure.axes if "validation" in axes.get_ylabel()]
    assert curves
    assert all("°" in w for w in curves)


def test_predictions_are_compared_as_the_head_says(phases, tmp_path):
    structures = toy_slabs.slabs(3, seed=2)
    for k, atoms in enumerate(structures):
        atoms.set_array("phase", 3.0 + 0.1 * atoms.numbers + 4 * np.pi * k)
    toy_slabs.write(tmp_path / "a.extxyz", structures)
    predictor = Predictor(phases)
    compared = Compared(predictor.quantities[0], predictor.model.head)
    said = {}
    for row in predictor.predict([str(tmp_path / "a.extxyz")]):
        compared.add(row)
        said[row.id] = row.values["phase"]
    error = np.concatenate([said[a.info["id"]] - 3.0 - 0.1 * a.numbers for a in structures])
    errors = compared.errors()
    assert errors.mae == pytest.approx(np.degrees(np.abs(np.angle(np.exp(1j * error)))).mean(), rel=1e-5)
    assert errors.unit == "°"
    assert model_file.load(phases / "model.safetensors")[0].spec.targets[0].unit == "rad"


def rows_of(run: Path, source: Path) -> tuple[list[Row], Predictor]:
    predictor = Predictor(run)
    return [r for r in predictor.predict([str(source)]) if isinstance(r, Row)], predictor


def written(run: Path, source: Path, kind: str) -> str:
    rows, predictor = rows_of(run, source)
    writer = Writer(kind, predictor.quantities)
    return "".join(writer.text(r) for r in rows) + writer.end()


def test_predicted_positions_are_written_as_structures(run, tmp_path):
    structures = toy_slabs.slabs(3, seed=9)
    report = built(tmp_path, "a", structures)
    for source in (tmp_path / "a.extxyz", report.output):
        rows, _ = rows_of(run, source)
        (tmp_path / "out.extxyz").write_text(written(run, source, "extxyz"))
        for row, entry in zip(rows, read_file(tmp_path / "out.extxyz"), strict=True):
            given = next(a for a in structures if a.info["id"] == row.id)
            assert isinstance(entry, Entry), entry
            assert entry.id == row.id
            np.testing.assert_allclose(entry.atoms.positions, row.values[NAME], atol=1e-7)
            np.testing.assert_allclose(entry.atoms.cell.array, given.cell.array, atol=1e-7)
            assert entry.atoms.pbc.tolist() == [True, True, False]
            assert entry.atoms.numbers.tolist() == given.numbers.tolist()
            assert entry.atoms.get_tags().tolist() == given.get_tags().tolist()
            assert entry.atoms.constraints[0].index.tolist() == given.constraints[0].index.tolist()
            np.testing.assert_allclose(entry.labels["initial_positions"], given.positions, atol=1e-7)
            assert f"predicted_{NAME}" not in entry.labels
            held = entry.atoms.constraints[0].index
            true = np.where(toy_slabs.free(given)[:, None], given.arrays[NAME], np.nan)
            np.testing.assert_allclose(entry.labels[f"true_{NAME}"], true, atol=1e-7)
            np.testing.assert_allclose(entry.atoms.positions[held], given.positions[held], atol=1e-8)
            np.testing.assert_allclose(row.values[NAME][held], row.atoms.positions[held], rtol=0.0, atol=0.0)


def test_and_as_cif_and_numbers(run, tmp_path):
    structures = toy_slabs.slabs(3, seed=9)
    source = toy_slabs.write(tmp_path / "a.extxyz", structures)
    rows, _ = rows_of(run, source)
    (tmp_path / "out.cif").write_text(written(run, source, "cif"))
    found = list(read_file(tmp_path / "out.cif"))
    assert len(found) == 3
    for row, entry in zip(rows, found, strict=True):
        assert isinstance(entry, Entry), entry
        assert row.id in entry.id
        assert entry.atoms.numbers.tolist() == row.atoms.numbers.tolist()
        lengths = [a.get_all_distances(mic=True) for a in (entry.atoms, moved(row, PLACE))]
        np.testing.assert_allclose(*lengths, atol=1e-6)
    assert f"{NAME}_z [Å]" in written(run, source, "csv")
    in_memory = load_model(run).predict(structures)
    for one, row in zip(in_memory, rows, strict=True):
        np.testing.assert_allclose(one[NAME].structure.positions, row.values[NAME], atol=1e-6)


def test_a_model_without_positions_makes_no_structures(phases):
    with pytest.raises(UsageError, match="predicts one set of positions"):
        Writer("cif", Predictor(phases).quantities)


def test_what_is_held_has_no_sigma(run):
    (atoms,) = toy_slabs.slabs(1, seed=4)
    held = atoms.constraints[0].index
    values = {NAME: np.zeros((len(atoms), 3))}
    spreads = {NAME: {"sigma": np.ones((len(atoms), 3)), "low_90": np.zeros((len(atoms), 3))}}
    known = SimpleNamespace(atoms=atoms)
    Predictor(run).rows._hold(known, values, spreads)  # type: ignore[arg-type]
    np.testing.assert_array_equal(values[NAME][held], atoms.positions[held])
    np.testing.assert_array_equal(spreads[NAME]["sigma"][held], 0.0)
    np.testing.assert_array_equal(spreads[NAME]["low_90"][held], atoms.positions[held])
    free = np.setdiff1d(np.arange(len(atoms)), held)
    assert (spreads[NAME]["sigma"][free] == 1.0).all()


def test_extrapolations_without_tags_are_counted_and_said_once(run, tmp_path):
    """Nothing is said of extrapolations that have tags."""
    (known, *_), (tagged, *bare) = toy_slabs.slabs(1), toy_slabs.slabs(3, seed=4)
    for atoms in (tagged, *bare):
        atoms.symbols[-1] = "N"  # which training never saw
    for atoms in bare:
        del atoms.arrays["tags"]
    source = toy_slabs.write(tmp_path / "a.extxyz", [known, tagged, *bare])
    heard: list[str] = []
    predictor = Predictor(run, allow_unseen=True, warn=heard.append)
    for _ in range(2):
        rows = [row for row in predictor.predict([str(source)]) if isinstance(row, Row)]
        assert [bool(row.extrapolating) for row in rows] == [False, True, True, True]
        (said,) = [line for line in heard if "have no tags" in line]
        assert said.startswith("2 extrapolations have no tags, which the model reads")
        heard.clear()
