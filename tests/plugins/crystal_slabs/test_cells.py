"""Pairs whose cells relax: the strain takes the start to what was relaxed, however that lies in space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from crystal_slabs.pairing import relaxed_in_the_cell
from scipy.spatial.transform import Rotation

from crystalcli.cli.main import run
from crystalcli.nouns.cells import inverse
from crystalcli.prediction.structures import strain
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError


def relaxed(start: ase.Atoms, seed: int = 0) -> tuple[ase.Atoms, np.ndarray, np.ndarray]:
    """``start`` with a strained and turned cell and moved atoms, one of them in another image; ε; where they went."""
    rng = np.random.default_rng(seed)
    epsilon = rng.normal(0, 0.05, (3, 3))
    epsilon = 0.5 * (epsilon + epsilon.T)
    turn = Rotation.from_rotvec([0.3, -1.1, 0.4]).as_matrix()
    places = start.positions + rng.normal(0, 0.1, start.positions.shape)
    end = start.copy()
    end.positions = (places + np.eye(len(start))[:, :1] * start.cell[1]) @ (np.eye(3) + epsilon) @ turn
    end.set_cell(start.cell.array @ (np.eye(3) + epsilon) @ turn)
    return end, epsilon, places


def test_strain_and_positions_are_found_without_the_rotation() -> None:
    start = crystals.rattled(2)
    end, epsilon, places = relaxed(start)
    found, six = relaxed_in_the_cell(start, end, "order")
    np.testing.assert_allclose(six, epsilon[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], atol=1e-12)
    np.testing.assert_allclose(found, places, atol=1e-11)
    guess = start.copy()
    guess.positions = found
    strain(guess, six)
    fractional = [a.positions @ inverse(a.cell.array) for a in (guess, end)]
    difference = fractional[0] - fractional[1]
    np.testing.assert_allclose(difference - np.rint(difference), 0.0, atol=1e-11)
    metric = [a.cell.array @ a.cell.array.T for a in (guess, end)]
    np.testing.assert_allclose(metric[0], metric[1], atol=1e-11)


def test_the_order_within_an_element() -> None:
    start = crystals.rattled(3)
    end, _, places = relaxed(start)
    order = np.argsort(start.numbers, kind="stable")
    shuffled = end[order]
    with pytest.raises(InputError, match="--match species takes"):
        relaxed_in_the_cell(start, shuffled, "order")
    np.testing.assert_allclose(relaxed_in_the_cell(start, shuffled, "species")[0], places, atol=1e-11)


def spoilt(what: str) -> ase.Atoms:
    end, _, _ = relaxed(crystals.rattled(2))
    if what == "mirror":
        end.set_cell(end.cell.array[[1, 0, 2]])
    elif what == "axes":
        end.set_cell(end.cell.array * [[1], [1], [3]])
    else:
        end.pbc = (True, True, False)
    return end


@pytest.mark.parametrize(
    ("what", "said"), [("mirror", "other handedness"), ("axes", "strained by .* axes others"), ("pbc", "other vectors")]
)
def test_what_no_strain_leads_to(what: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        relaxed_in_the_cell(crystals.rattled(2), spoilt(what), "order")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    starts = [crystals.rattled(k) for k in range(12)]
    for k, atoms in enumerate(starts):
        atoms.info = {"id": f"c{k}"}
    ends = []
    for k, atoms in enumerate(starts):
        end, _, _ = relaxed(atoms, k)
        end.info = {"id": f"c{k}"}
        ends.append(end)
    ase.io.write(tmp_path / "a.extxyz", starts)
    ase.io.write(tmp_path / "b.extxyz", ends)
    return tmp_path


def ran(words: list[Any], code: int = 0) -> None:
    assert run([str(w) for w in words]) == code


def test_from_pairs_to_predicted_cells(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    ran(["pairs", "a.extxyz", "--relaxed", "b.extxyz", "-o", "none", "-q"], 4)  # as before: another cell is no pair
    ran(["pairs", "a.extxyz", "--relaxed", "b.extxyz", "--cells", "-o", "out", "-q"])
    ran(["build-graphs", "out/pairs.extxyz", "--targets", "relaxed_positions,relaxed_strain", "--fields", "fixed,tags"])
    small = "--width 8 --n-conv 1 --hidden 8 --epochs 2 --max-steps 40 --batch-size 4 --threads 1 -q"
    ran(["train", "graphs.h5", "--arch", "dogss", *small.split(), "-o", "model"])
    report = json.loads(Path("model/report.json").read_text())
    assert {"relaxed_positions", "relaxed_strain"} <= report["test"].keys()
    ran(["predict", "model", "a.extxyz", "-o", "guess.extxyz", "-q"])
    for guess, start in zip(ase.io.read("guess.extxyz", ":"), ase.io.read("a.extxyz", ":"), strict=True):
        np.testing.assert_allclose(guess.info["initial_cell"].reshape(3, 3), start.cell.array, atol=1e-6)
        stretch = inverse(start.cell.array) @ guess.cell.array
        np.testing.assert_allclose(stretch, stretch.T, atol=1e-6)
        six = np.asarray(guess.info["predicted_relaxed_strain"])
        np.testing.assert_allclose((stretch - np.eye(3))[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], six, atol=1e-6)
