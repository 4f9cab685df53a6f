"""What the same command may differ by: nothing run to run; rounding by batches and threads; nothing by workers.

Bounds are those of double and single precision: an energy per atom of some eV is a sum of some hundred terms.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from common import some_campaign
from common.predict_all import predict_all
from numpy.typing import NDArray

from crystalcli.cli.main import run as crystal
from crystalcli.engine.evaluate import evaluator
from crystalcli.engine.run.places import Place
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.nouns.graph import collate
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row

KNN, RADIUS = "knn.h5 --featurizer cgcnn", "radius.h5 --featurizer radius"
MODELS = {
    "cgcnn": f"{KNN} --arch cgcnn --target e",
    "lcgcn": f"{KNN} --arch lcgcn --target e",
    "lcgcn with forces": f"{RADIUS} --arch lcgcn --head energy",
    "lcgcn-ff": f"{RADIUS} --arch lcgcn-ff",
    "pair-moments": f"{RADIUS} --arch pair-moments",
    "neighborhood-mlp": f"{KNN} --arch neighborhood-mlp --head site --target site --no-compare",
}
"""By name: graphs and words of ``crystal train``."""
SMALL = "--epochs 2 --batch-size 16 --split random --threads 1 --quiet"


@dataclass(frozen=True)
class Cell:
    """How predictions are made; none of it is part of what is asked."""

    batch: int = 64
    threads: int = 1
    workers: int = 0
    permuted: bool = False


MATRIX = [
    Cell(batch=1),
    Cell(batch=7),
    Cell(threads=2),
    Cell(threads=4),
    Cell(workers=2),
    Cell(permuted=True),
    Cell(batch=1, threads=4),
    Cell(batch=7, threads=2, workers=2, permuted=True),
]
"""Every setting alone and some together, each against ``Cell()``."""
FEW = [Cell(batch=1), Cell(threads=4), Cell(batch=7, threads=2, workers=2, permuted=True)]
BOUNDS = {torch.float64: (1e-9, 1e-8), torch.float32: (1e-5, 1e-4)}
"""Of energies, eV/atom (and of values of sites), and of forces, eV/Å."""


def labelled(n: int) -> list[ase.Atoms]:
    """Alloys with energies and forces of effective medium theory, and a made-up value for each atom."""
    made = some_campaign.alloys(n, seed=1)
    for atoms in made:
        atoms.calc = EMT()
        found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **found)
        atoms.arrays["site"] = np.linalg.norm(found["forces"], axis=1)
    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Structures, in files of two each, and their graphs."""
    folder = tmp_path_factory.mktemp("determinism")
    (folder / "in").mkdir()
    structures = labelled(70)
    for k in range(0, 70, 2):
        ase.io.write(folder / "in" / f"{k:02d}.extxyz", structures[k : k + 2])
    threads, before = torch.get_num_threads(), Path.cwd()
    os.chdir(folder)
    for words in (
        "cgcnn -o knn.h5 --targets e=energy/atom,site",
        "radius --cutoff 5 -o radius.h5 --targets energy,forces",
    ):
        assert crystal(f"build-graphs in --featurizer {words} --quiet".split()) == 0
    yield folder
    os.chdir(before)
    torch.set_num_threads(threads)


OFTEN = ("cgcnn", "pair-moments")
"""Tried with every change; the others are slow tests."""
EVERY = [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


@pytest.fixture(scope="module", params=EVERY)
def trained(home: Path, request: pytest.FixtureRequest) -> Path:
    """Folder of a finished run of one kind of model."""
    name = request.param.replace(" ", "-")
    words = f"train {MODELS[request.param]} {SMALL} -o {name}"
    assert crystal(words.split()) == 0
    return home / name


def test_the_same_training_gives_the_same_bytes(trained: Path) -> None:
    words = f"train {MODELS[trained.name.replace('-with-', ' with ')]} {SMALL} -o again --overwrite"
    assert crystal(words.split()) == 0
    assert Path("again/model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", list(MODELS))
def test_five_processes_train_the_same_bytes(home: Path, name: str, threads: int) -> None:
    """Whatever their seed of hashes."""
    digests = set()
    for k in range(5):
        words = f"train {MODELS[name]} {SMALL} --threads {threads} -o five --overwrite"
        line = [sys.executable, "-m", "crystalcli", *words.split()]
        subprocess.run(line, check=True, cwd=home, env=os.environ | {"PYTHONHASHSEED": str(k)}, timeout=600)
        digests.add(hashlib.sha256((home / "five" / "model.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_neither_workers_nor_the_order_of_files_change_a_cache(home: Path) -> None:
    """More of it, killed on the way too, is in the tests of building."""
    inputs = tuple(map(str, sorted((home / "in").iterdir())))
    other = inputs[20:] + inputs[:20][::-1]
    made = []
    for k, (some, workers) in enumerate([(inputs, 0), (inputs, 2), (other, 0), (other, 2)]):
        build(BuildPlan(some, home / f"way{k}.h5", "cgcnn", targets=("energy",), place=Place(workers)))
        made.append((home / f"way{k}.h5").read_bytes())
    assert made == made[:1] * 4


Found = dict[str, dict[str, NDArray[np.float64]]]


def predicted(run: Path, cell: Cell, dtype: torch.dtype, patch: pytest.MonkeyPatch) -> Found:
    """Predictions by id and quantity; energies per atom."""
    files = sorted(map(str, Path("in").iterdir()))
    if cell.permuted:
        files = [files[k] for k in np.random.default_rng(0).permutation(len(files))]
    torch.set_num_threads(cell.threads)
    predictor = Predictor(run, batch_size=cell.batch)
    if dtype == torch.float64:  # single precision is what they have, but for statistics and baselines
        predictor.model.double()
    patch.setattr(evaluator, "collate", partial(collate, dtype=dtype))
    found: Found = {}
    for row in predictor.predict(files, Place(cell.workers)):
        assert isinstance(row, Row)
        values = {n: np.asarray(v, dtype=np.float64) for n, v in row.values.items()}
        extensive = {q.name for q in predictor.quantities if q.extensive}
        found[row.id] = {n: v / len(row.atoms) if n in extensive else v for n, v in values.items()}
    return found


def worst(found: Found, expected: Found, of: Callable[[str], bool]) -> float:
    """The largest difference over all structures, of quantities for which ``of`` is true."""
    assert found.keys() == expected.keys()
    every = [np.abs(found[i][n] - v).max() for i, known in expected.items() for n, v in known.items() if of(n)]
    return float(max(every, default=0.0))


@pytest.mark.parametrize("cells", [FEW, pytest.param(MATRIX, marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.parametrize("dtype", list(BOUNDS), ids=str)
def test_batches_threads_workers_and_order_change_rounding_only(
    trained: Path, dtype: torch.dtype, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predicted(trained, Cell(), dtype, monkeypatch)
    energies, forces = BOUNDS[dtype]
    spread = np.ptp([v.mean() for known in expected.values() for n, v in known.items() if n != "forces"])
    assert spread > 1e3 * energies, "the model says the same of everything"
    said = []
    for cell in cells:
        found = predicted(trained, cell, dtype, monkeypatch)
        said.append((worst(found, expected, lambda n: n != "forces"), worst(found, expected, lambda n: n == "forces")))
        print(trained.name, dtype, cell, "largest differences {:.1e} {:.1e}".format(*said[-1]))
        if cell == replace(Cell(), workers=cell.workers):
            assert said[-1] == (0.0, 0.0), "workers only read"
    assert max(e for e, _ in said) <= energies
    assert max(f for _, f in said) <= forces


MACHINES = {
    "two threads, old instructions": {
        "OMP_NUM_THREADS": "2",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Prescott",
    },
    **{f"{n} threads": {"OMP_NUM_THREADS": n} for n in ("1", "2", "4")},
    **{f"torch for {word}": {"ATEN_CPU_CAPABILITY": word} for word in ("default", "avx2")},
    **{f"MKL for {word}": {"MKL_CBWR": word} for word in ("COMPATIBLE", "AVX2")},
    **{f"OpenBLAS for {word}": {"OPENBLAS_CORETYPE": word} for word in ("Haswell", "Prescott")},
}
"""Other machines, as far as the libraries let themselves be told; the first is all of it at once."""
FIRST, *OTHERS = MACHINES


@pytest.mark.parametrize("machine", [FIRST, *(pytest.param(m, marks=pytest.mark.slow) for m in OTHERS)])
def test_a_model_says_the_same_on_other_machines(trained: Path, tmp_path: Path, machine: str) -> None:
    """Trained and predicted with one thread here; when the model is loaded there its own crystals are checked, too."""
    torch.set_num_threads(1)
    expected = predict_all(str(trained))
    script = Path(__file__).parents[1] / "common" / "predict_all.py"
    command = [sys.executable, str(script), str(trained), str(tmp_path / "there.npz")]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"} | MACHINES[machine], check=True, timeout=300)
    found = np.load(tmp_path / "there.npz")
    energies, forces = BOUNDS[torch.float32]
    for name, values in expected.items():
        difference = float(np.abs(found[name] - values).max())
        print(trained.name, machine, name, f"largest difference {difference:.1e}")
        assert difference <= (forces if name == "forces" else energies)
