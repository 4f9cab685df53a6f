"""Labels of any size: in whatever unit they are, training is the same; what cannot be squared is one sentence."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import train
from train.test_training import RECIPE, plan

from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import LabelRequest, columns
from crystalcli.nouns.magnitudes import beyond, mean_and_deviation, reduced
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.labels import LabelFinder
from crystalcli.train.labels import labelled
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

SIZES = {
    "tiny": [1e-300, 2e-300, 3e-300],
    "denormal": [5e-324, 1e-320, 2e-310],
    "huge": [1e308, -1e308, 1.7e308],
    "huge and one": [1e300, 1.0, 2.0],
    "all huge": [1e300, 1e300, 1e300],
}
FINE = {
    "joules": [1.6e-19, 3.2e-19, 2.1e-19],
    "tiny and one": [1e-300, 1.0, 2.0],
    "zeros": [0.0, 0.0, 0.0],
    "at the ends": [1e100, -1e100, 1e-100],
}


def entries(values: list[float], atoms: list[int] | None = None, **more: Any) -> list[Labelled]:
    counts = atoms or [2] * len(values)
    rows: list[Mapping[str, Any]] = [{"y": v} for v in values]
    return [
        Labelled(f"s{k}", f"f:{k}", n, row, {}, {}, **more) for k, (row, n) in enumerate(zip(rows, counts, strict=True))
    ]


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("name", SIZES | FINE)
def test_audit_says_one_sentence(name: str, times: int) -> None:
    values = (SIZES | FINE)[name] * times
    for scaling in ("", "/atom", "*atoms"):
        made = entries(values, [1 + k % 5 for k in range(len(values))], crystal=b"the same")
        ((column,), audit) = columns(made, (LabelRequest("y", "y", scaling, ""),))
        said = [w for w in audit.warnings if "beyond what can be squared" in w]
        if scaling == "" or name not in ("huge", "at the ends"):
            assert len(said) == (name in SIZES)
        assert all(w.startswith("label 'y', ") and f"{min(column.values[column.mask]):.6g} … " in w for w in said)
        assert np.isfinite(column.values[column.mask]).all()
    (line,) = columns(entries(values), (LabelRequest("y", "y", "", ""),))[1].lines
    most = max(map(abs, values)) or 1.0
    share = np.array([v / most for v in values])
    assert float(line.split("mean ")[1].split(",")[0]) == pytest.approx(share.mean() * most, rel=1e-3)
    assert float(line.split("deviation ")[1].split(" ")[0]) == pytest.approx(
        share.std() * most, rel=1e-3, abs=1e-12 * most
    )


def test_of_sites_and_tensors() -> None:
    for size, wrong in ((1e300, True), (1e-200, True), (1e-30, False), (1.0, False)):
        sites = [Labelled(f"s{k}", f"f:{k}", 3, {"q": size * np.arange(k, k + 3.0)}, {}, {}) for k in range(4)]
        forces = [Labelled(f"s{k}", f"f:{k}", 3, {"f": size * np.ones((3, 3))}, {}, {}) for k in range(4)]
        tensors = [Labelled(f"s{k}", f"f:{k}", 3, {"stress": size * np.ones(6)}, {}, {}) for k in range(4)]
        for key, rows in (("q", sites), ("f", forces)):
            assert any("beyond" in w for w in columns(rows, (LabelRequest(key, key, "", ""),))[1].warnings) == wrong
        known = {"stress": Quantity("stress", "eV/Å³", shape=(6,))}
        rows = [replace(t, quantities=known) for t in tensors]
        assert (
            any("beyond" in w for w in columns(rows, (LabelRequest("stress", "stress", "", ""),))[1].warnings) == wrong
        )


@pytest.mark.parametrize("size", [1.0, 3e7, 1e-9, 7e200, -2e-250, 1.7e308 / 8])
def test_statistics_of_any_size_are_those_of_size_one(size: float) -> None:
    values = np.array([1.0, 2.5, -3.0, 7.25])
    mean, deviation = mean_and_deviation(size * values)
    assert mean / size == pytest.approx(values.mean(), rel=1e-14)
    assert deviation / abs(size) == pytest.approx(values.std(), rel=1e-14)
    small, unit = reduced(size * values)
    assert np.array_equal(small * unit, size * values)
    assert 1 <= np.abs(small).max() < 2


def test_what_is_beyond() -> None:
    assert beyond(np.array([])) == beyond(np.zeros(3)) == beyond(np.array([np.nan, 1.0])) == ""
    assert beyond(np.array([np.nan, 1e-300, -4e-200])).startswith("-4e-200 … 1e-300, is beyond")
    assert beyond(np.array([[1.0, 2.0], [3.0, 1e101]])).startswith("1 … 1e+101, is beyond")


def cache(path: Path, factor: float, quantity: Quantity = small_cache.ENERGY) -> Path:
    structures = small_cache.crystals(28)
    values = factor * small_cache.energies(structures)
    if quantity.level == "site":
        values = np.concatenate([factor * np.sin(a.numbers) for a in structures])
    column = Column(quantity, values, np.ones(len(values), dtype=bool))
    return small_cache.write(path, structures=structures, columns=[column])


@pytest.mark.parametrize("residual", ["none", "elements"])
def test_training_is_the_same_in_every_unit(residual: str, tmp_path: Path) -> None:
    """1.6e-19 J are no constant, and 1e90 of whatever are learned as ones are."""
    recipe = replace(RECIPE, epochs=2, residual_of=residual)
    errors = {}
    for factor in (1.0, 2.0**-62, 2.0**300, 2.0**-330):
        file = cache(tmp_path / f"{factor}.h5", factor)
        report = train(plan(file, tmp_path / f"run-{factor}", recipe=recipe)).data
        row = report["test"][small_cache.ENERGY.name]
        errors[factor] = [row["model"]["mae"] / factor, row["model"]["r2"], row["baselines"]["pairs"]["mae"] / factor]
    for found in errors.values():
        assert found == pytest.approx(errors[1.0], rel=1e-3)


@pytest.mark.parametrize("factor", [1e-300, 1e200, 1e307])
@pytest.mark.parametrize("level", ["structure", "site"])
def test_training_refuses_with_a_sentence(factor: float, level: str, tmp_path: Path) -> None:
    file = cache(tmp_path / "g.h5", factor, Quantity("y", "eV", level))
    head = {"head": "site"} if level == "site" else {}
    with pytest.raises(UsageError, match=r"^label 'y', .* … .*, is beyond what can be squared"):
        train(plan(file, tmp_path / "run", **head))
    assert not (tmp_path / "run").exists()


def test_one_placeholder_among_many(tmp_path: Path) -> None:
    structures = small_cache.crystals(28)
    values = small_cache.energies(structures)
    values[7] = 9.9e307
    for masked in (False, True):
        mask = np.ones(28, dtype=bool)
        mask[7] = not masked
        file = small_cache.write(
            tmp_path / f"{masked}.h5", structures=structures, columns=[Column(small_cache.ENERGY, values, mask)]
        )
        data = GraphDataset.open([file])
        if masked:
            assert len(labelled(data, (small_cache.ENERGY,), Host())) == 27
        else:
            with pytest.raises(UsageError, match=r"… 9.9e\+307, is beyond"):
                labelled(data, (small_cache.ENERGY,), Host())


def test_labels_to_compare_with() -> None:
    said: list[str] = []
    finder = LabelFinder([Quantity("y", "eV"), Quantity("q", "e", "site")], (), said.append)
    (atoms,) = small_cache.crystals(1)
    found = [
        finder.of(Entry("a", atoms, "a", labels={"y": y, "q": np.array([q, 1.0])}))
        for y, q in ((1e308, -1e200), (np.inf, 1e-300), (2.0, 3.0))
    ]
    assert ["y" in f for f in found] == [False, False, True]
    np.testing.assert_equal([f["q"][0] for f in found], [np.nan, 1e-300, 3.0])
    assert said == [
        "labels 'y' beyond 1e+100, as 1e+308, are not compared",
        "labels 'q' beyond 1e+100, as -1e+200, are not compared",
    ]


def test_at_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for k, a in enumerate(small_cache.crystals(4)):
        a.write(tmp_path / f"s{k}.cif")
    (tmp_path / "id_prop.csv").write_text("s0,1e-300\ns1,2e-300\ns2,3e-300\ns3,2.5e-300\n")
    assert run(["build-graphs", str(tmp_path), "-o", str(tmp_path / "o.h5")]) == 0
    out, err = capfd.readouterr()
    assert "4 of 4 structures, 1e-300 … 3e-300, mean 2.125e-300, deviation 7.395e-301" in out
    assert err.count("beyond what can be squared") == err.count("warning") == 1
    assert run(["train", str(tmp_path / "o.h5"), "-o", str(tmp_path / "run")]) == 2
    assert "error: label 'target', 1e-300 … 3e-300, is beyond what can be squared" in capfd.readouterr().err
