"""What looks unlike the training: distances by hand, one file, and structures that are nothing like it."""

from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from common import small_cache
from common.some_trainings import train
from train.test_training import ENERGY, plan

from crystalcli import load_model
from crystalcli.cli.main import run
from crystalcli.contracts.modules import Embedding
from crystalcli.engine.model import model_file
from crystalcli.engine.model.out_of_domain import OutOfDomain
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.errors import InputError


def pair() -> CrystalGraph:
    """A crystal of one atom and one of two."""
    atoms = [ase.build.bulk("Cu"), ase.build.bulk("NaCl", "rocksalt", a=5.6)]
    return collate([build_graph(a, cutoff=4.0) for a in atoms])


def test_distance_to_the_nearest_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    taught = np.column_stack([rng.normal(3.0, 0.5, 300), rng.normal(-1.0, 4.0, 300), np.full(300, 7.0)])
    others = np.column_stack([rng.normal(3.0, 0.5, 200), rng.normal(-1.0, 4.0, 200), np.full(200, 7.0)])
    known = OutOfDomain.learned(torch.tensor(taught, dtype=torch.float32), torch.tensor(others, dtype=torch.float32))
    nodes = torch.tensor([[3.0, -1.0, 7.0], [9.0, 0.0, 7.0], [7.0, 0.0, 9.0]])  # the second crystal's mean: 8, 0, 8
    found = known.domain_distance(pair(), Embedding(nodes)).numpy()
    spread = taught.std(0)[:2]  # the third is the same for all and does not count

    def nearest(v: np.ndarray) -> float:
        return float(np.sqrt((((v[:2] - taught[:, :2]) / spread) ** 2).sum(1)).min())

    limit = np.quantile([nearest(v) for v in others], 0.99)
    np.testing.assert_allclose(
        found, [nearest(np.array([3.0, -1.0])) / limit, nearest(np.array([8.0, 0.0])) / limit], rtol=0.02
    )
    assert found[0] < 1.0 < found[1]


def test_without_others_a_structure_is_not_its_own_neighbor() -> None:
    taught = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    known = OutOfDomain.learned(taught, torch.zeros(0, 1))
    distances = np.array([1.0, 1.0, 2.0, 4.0]) / taught.numpy().std()
    assert float(known.limit) == pytest.approx(np.quantile(distances, 0.99), rel=1e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("familiar")
    train(plan(small_cache.write(home / "graphs.h5"), home / "run"))
    return home / "run"


def test_rocksalts_are_familiar_and_squeezed_ones_are_not(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    like = small_cache.crystals(14, seed=5)
    unlike = [a.copy() for a in like]
    for a in unlike:
        a.set_cell(0.6 * a.cell, scale_atoms=True)
    model = load_model(trained)
    words = [[f[ENERGY].extrapolating for f in model.predict(s)] for s in (like, unlike)]
    assert sum(bool(w) for w in words[0]) <= 3
    assert all(w.startswith("unlike any structure of the training (") for w in words[1])
    ase.io.write(tmp_path / "unlike.extxyz", unlike)
    assert run(["predict", str(trained), str(tmp_path / "unlike.extxyz"), "-o", str(tmp_path / "p.csv")]) == 0
    assert "14 of 14 are extrapolations" in capfd.readouterr().out
    assert (tmp_path / "p.csv").read_text().splitlines()[0].endswith(",extrapolating")


def test_the_file_keeps_it_and_a_damaged_one_is_refused(trained: Path, tmp_path: Path) -> None:
    path = trained / "model.safetensors"
    model, provenance = model_file.load(path)
    assert model.out_of_domain is not None
    assert len(model.out_of_domain.landmarks) == len(provenance["split"]["train"])
    assert model_file.to_bytes(model, provenance) == path.read_bytes()
    model.out_of_domain = OutOfDomain(*(-t for t in model.out_of_domain.tensors().values()))
    model_file.save(tmp_path / "bad.safetensors", model, provenance)
    with pytest.raises(InputError, match="damaged model"):
        model_file.load(tmp_path / "bad.safetensors")
