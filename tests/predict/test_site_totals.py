"""Cells with a charge of their own: read from files, kept in the cache, conserved in training and prediction."""

import csv
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from common import small_cache
from common.some_trainings import asked, changed, train

from crystalcli import load_model
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.graphs import build
from crystalcli.graphs import plan as build_graphs_plan
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError

HEAD = {"hidden": 8, "conserve": "q", "total": "cell_charge"}


def cells(n: int, seed: int) -> list[ase.Atoms]:
    """Rocksalts with charges of −1, 0.5 or 2 in all; every tenth does not say so."""
    made = small_cache.crystals(n, seed=seed)
    for k, atoms in enumerate(made):
        total = (-1.0, 0.5, 2.0)[k % 3]
        q = atoms.numbers / 20.0
        atoms.set_array("q", q - q.mean() + total / len(atoms))
        if k % 10:
            atoms.info["cell_charge"] = total
    return made


def plan(folder: Path, output: str, **changes: Any) -> Request:
    made = asked(
        arch="cgcnn",
        head="site",
        output=str(folder / output),
        caches=(str(folder / "graphs.h5"),),
        target=("q",),
        arch_options={"n_conv": 1, "width": 8},
        head_options=HEAD,
        recipe=Recipe(batch_size=8, epochs=2),
        split="random",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("charged")
    ase.io.write(path / "cells.extxyz", cells(40, 1))
    ase.io.write(path / "new.extxyz", cells(21, 2))
    wished = build_graphs_plan.BuildPlan(
        (str(path / "cells.extxyz"),), path / "graphs.h5", "cgcnn", targets=("q:e", "cell_charge:e")
    )
    build.build(wished)
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    said: list[str] = []
    report = train(plan(folder, "run", compare=("neighborhood-mlp",)), Host(say=said.append))
    assert "4 of 40 structures do not say their 'cell_charge'; it is taken as 0" in said
    return report.folder


def wanted(structures: list[ase.Atoms]) -> list[float]:
    return [a.info.get("cell_charge", 0.0) for a in structures]


@pytest.mark.parametrize("model", [".", "neighborhood-mlp"])
def test_test_cells_sum_to_their_charges(folder: Path, run: Path, model: str) -> None:
    rows = csv.DictReader((run / model / "predictions-test-sites.csv").read_text().splitlines())
    sums: dict[str, float] = {}
    for row in rows:
        sums[row["id"]] = sums.get(row["id"], 0.0) + float(row["q predicted [e]"])
    there = ase.io.read(folder / "cells.extxyz", ":")
    assert len(sums) == 4
    for name, total in sums.items():
        assert total == pytest.approx(wanted(there)[int(name.rsplit(":", 1)[-1])], abs=1e-6)


def test_new_cells_sum_to_the_charges_that_their_file_says(folder: Path, run: Path) -> None:
    heard: list[str] = []
    new = ase.io.read(folder / "new.extxyz", ":")
    rows = [r for r in Predictor(run, warn=heard.append).predict([str(folder / "new.extxyz")]) if isinstance(r, Row)]
    np.testing.assert_allclose([r.values["q"].sum() for r in rows], wanted(new), atol=1e-6)
    assert len(set(wanted(new))) == 4
    assert heard == ["3 structures do not say their 'cell_charge', which the model reads; it is taken as 0"]
    found = load_model(run).predict(new[1])["q"].value
    np.testing.assert_allclose(found, rows[1].values["q"], atol=1e-6)


def test_caches_and_other_keys_say_it_too(folder: Path, run: Path, tmp_path: Path) -> None:
    rows = [r for r in Predictor(run).predict([str(folder / "graphs.h5")]) if isinstance(r, Row)]
    np.testing.assert_allclose([r.values["q"].sum() for r in rows], wanted(cells(40, 1)), atol=1e-6)
    new = cells(5, 3)
    for atoms in new:
        atoms.info["Z"] = 7.0
    ase.io.write(tmp_path / "z.extxyz", new)
    finder = Predictor(run, labels=[LabelRequest.parse("cell_charge=Z")])
    rows = [r for r in finder.predict([str(tmp_path / "z.extxyz")]) if isinstance(r, Row)]
    np.testing.assert_allclose([r.values["q"].sum() for r in rows], 7.0, atol=1e-6)


def test_a_column_of_a_table_says_it(run: Path, tmp_path: Path) -> None:
    new = cells(6, 4)
    lines = []
    for k, atoms in enumerate(new):
        ase.io.write(tmp_path / f"c{k}.cif", atoms)
        lines.append(f"c{k},{k - 2.5}")
    (tmp_path / "id_prop.csv").write_text("id,cell_charge\n" + "\n".join(lines) + "\n")
    rows = [r for r in Predictor(run).predict([str(tmp_path)]) if isinstance(r, Row)]
    np.testing.assert_allclose([r.values["q"].sum() for r in rows], [k - 2.5 for k in range(6)], atol=1e-6)


def test_totals_that_nothing_says_or_nothing_needs_are_refused(folder: Path) -> None:
    wrong = [
        ({**HEAD, "total": "charge"}, "no structure has a label 'charge', which head 'site' reads; .* q, cell_charge"),
        ({**HEAD, "total": "q"}, "'q', which the model reads, is not one number per structure"),
        ({**HEAD, "total": "nan"}, "nan is no total"),
        ({"total": "cell_charge"}, "goes with --conserve"),
    ]
    for options, message in wrong:
        with pytest.raises(UsageError, match=message):
            train(plan(folder, "wrong", head_options=options))
    assert not (folder / "wrong").exists()
