"""Replay: what a model that is trained on says elsewhere is learned beside the new labels, and less of it is lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from common import small_cache
from common.some_trainings import resume, train
from train.test_training import RECIPE, StopAfter, plan

from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.contracts.records import Statistics
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate import evaluation
from crystalcli.engine.model import model_file
from crystalcli.train.transfer import with_all_elements
from crystalcli.vocabulary.errors import Stopped, UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = small_cache.ENERGY.name
LONG = replace(RECIPE, epochs=40, lr=2e-2)


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Rocksalts that the source learns, and others of one formula 1 eV/atom higher."""
    folder = tmp_path_factory.mktemp("caches")
    some = [a for a in small_cache.crystals(84, seed=5) if a.get_chemical_formula() == "ClNa"]
    column = Column(small_cache.ENERGY, small_cache.energies(some) + 1.0, np.ones(len(some), dtype=bool))
    new = small_cache.write(folder / "new.h5", structures=some, columns=[column], stem="new")
    return small_cache.write(folder / "graphs.h5"), new


@pytest.fixture(scope="module")
def source(caches: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    train(plan(caches[0], folder, recipe=LONG))
    return folder


def answers(model: Path, cache: Path) -> np.ndarray:
    data = GraphDataset.open([cache])
    found = evaluation.collect(model_file.load(model)[0], data, np.arange(len(data)), 16)  # type: ignore[arg-type]
    return found[ENERGY].value


def test_less_is_forgotten_and_the_new_labels_are_learned(
    caches: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    old, new = caches
    moved = {}
    for name, replay in (("without", ()), ("with", (old,))):
        made = train(plan(new, tmp_path / name, from_=source, recipe=LONG, keep_start=False, replay=replay))
        moved[name] = np.abs(answers(made.model, old) - answers(source / "model.safetensors", old)).mean()
        assert made.data["test"][ENERGY]["model"]["mae"] < 0.5  # of 1 eV/atom at the beginning
    assert moved["with"] < 0.5 * moved["without"]


def test_what_is_forgotten_is_measured_where_it_was_not_learned(
    caches: tuple[Path, Path], source: Path, tmp_path: Path
) -> None:
    old, new = caches
    made = train(plan(new, tmp_path / "run", from_=source, recipe=RECIPE, keep_start=False, replay=(old,)))
    found = made.data["replay"]
    assert (found["structures"], found["aside"]) == (42, 4)
    read = json.loads((made.folder / "run.json").read_text())["inputs"]
    assert {Path(name).name for name in read} == {old.name, new.name, "model.safetensors"}
    aside = np.sort(np.random.default_rng([0, 11]).permutation(np.arange(12, 54))[:4]) - 12
    moved = answers(made.model, old)[aside] - answers(source / "model.safetensors", old)[aside]
    assert found["changed"][ENERGY]["mae"] == pytest.approx(np.abs(moved).mean(), rel=1e-5)
    assert moved.any()


def test_structures_of_the_training_itself_are_said(caches: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    _, new = caches
    with pytest.raises(UsageError, match=r"new.h5: is a cache of this training; --replay names other structures"):
        train(plan(new, tmp_path / "run", from_=source, recipe=RECIPE, replay=(new,)))
    again, heard = tmp_path / "again.h5", []
    shutil.copyfile(new, again)
    train(plan(new, tmp_path / "run", from_=source, recipe=RECIPE, replay=(again,)), Host(warn=heard.append))
    assert any("replay: 12 of its structures are in the caches of the training, too" in line for line in heard)


def test_labels_of_the_replay_are_not_asked_for(caches: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    old, new = caches
    bare = small_cache.write(tmp_path / "bare.h5", columns=[])
    strange = Column(Quantity(ENERGY, "kJ/mol"), np.full(42, 5.0), np.ones(42, dtype=bool))
    other = small_cache.write(tmp_path / "other.h5", columns=[strange])
    weights = []
    for name, replay in (("labelled", old), ("bare", bare), ("in another unit", other)):
        made = train(plan(new, tmp_path / name, from_=source, recipe=RECIPE, keep_start=False, replay=(replay,)))
        weights.append(model_file.load(made.model)[0].state_dict())
        assert made.data["split"]["sizes"] == {"train": 8, "val": 2, "test": 2}
    assert all(torch.equal(weights[0][k], w[k]) for w in weights[1:] for k in w)


def test_a_stopped_run_goes_on_with_the_same_bits(caches: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    old, new = caches
    whole = train(plan(new, tmp_path / "whole", from_=source, recipe=RECIPE, keep_start=False, replay=(old,)))
    asked = plan(new, tmp_path / "parts", from_=source, recipe=RECIPE, keep_start=False, replay=(old,))
    with pytest.raises(Stopped):
        train(asked, stop=StopAfter(1), checkpoint_every=0.0)
    resumed = resume(tmp_path / "parts")
    assert whole.model.read_bytes() == resumed.model.read_bytes()


@pytest.mark.parametrize("baseline", ["none", "elements"])
def test_without_a_step_nothing_is_forgotten(caches: tuple[Path, Path], tmp_path: Path, baseline: str) -> None:
    """The answers are those of the whole model, its baseline among them."""
    old, new = caches
    train(plan(old, tmp_path / "source", recipe=replace(RECIPE, residual_of=baseline)))
    nothing = replace(RECIPE, epochs=0)
    made = train(plan(new, tmp_path / "run", from_=tmp_path / "source", recipe=nothing, replay=(old,)))
    assert made.data["replay"]["changed"][ENERGY]["max_error"] < 1e-5


def test_atoms_of_other_elements_keep_their_energies_whatever_the_mean_becomes() -> None:
    old = Statistics(1.0, (29, 47), {"energy": 0.5}, {"energy": 1.0}, references=(-3.0, -2.0))
    new = Statistics(1.0, (28, 29), {"energy": -0.25}, {"energy": 1.0}, references=(-5.0, -1.0))
    found = with_all_elements(new, old, (28, 29))
    assert found.elements == (28, 29, 47)
    assert found.target_mean["energy"] + np.array(found.references) == pytest.approx([-5.25, -1.25, -1.5])


def test_how_many_are_learned_in_an_epoch(caches: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    from crystalcli.train.setup import prepare

    old, new = caches
    for share, count in ((0.5, 4), (1.0, 8), (100.0, 38)):
        request = plan(new, tmp_path / "run", from_=source, replay=(old,), replay_share=share)
        prepared = prepare(request, Host())
        assert prepared.replay is not None
        train = prepared.split.train
        batches = prepared.replay.beside([train[:3], train[3:6], train[6:]], np.random.default_rng(0))
        assert [b[:n].tolist() for b, n in zip(batches, (3, 3, 2), strict=True)] == [
            b.tolist() for b in (train[:3], train[3:6], train[6:])
        ]
        assert np.ptp([len(b) - n for b, n in zip(batches, (3, 3, 2), strict=True)]) <= 1  # something in every step
        taken = np.concatenate(batches)
        assert len(taken) == 8 + count
        assert len(set(taken.tolist())) == len(taken)
        assert not set(taken.tolist()) & set(prepared.replay.aside.tolist())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"from_": None}, "add --from MODEL"),
        ({"new_head": True}, "--new-head takes their head away"),
        ({"replay_share": 0.0}, "learns none of it"),
        ({"refit_normaliser": True}, "changes all that the model says"),
    ],
)
def test_what_contradicts_itself(
    caches: tuple[Path, Path], source: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    asked = {"from_": source, "replay": (caches[0],)} | changes
    with pytest.raises(UsageError, match=said):
        train(plan(caches[1], tmp_path / "run", **asked))


def test_elements_that_the_model_never_knew(caches: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    strange = [ase.build.bulk("AgBr", "rocksalt", a=5.8), ase.build.bulk("AgCl", "rocksalt", a=5.6)]
    column = Column(small_cache.ENERGY, np.zeros(2), np.ones(2, dtype=bool))
    cache = small_cache.write(tmp_path / "ag.h5", structures=strange, columns=[column])
    with pytest.raises(UsageError, match="AgBr has Ag"):
        train(plan(caches[1], tmp_path / "run", from_=source, replay=(cache,)))


def frames(symbols: list[str], n: int, *, zero: float) -> list[ase.Atoms]:
    """Shaken metals with energies and forces of EMT, energies ``zero`` eV per atom higher."""
    rng = np.random.default_rng(len(symbols))
    made = []
    for k in range(n):
        atoms = ase.build.bulk(symbols[k % len(symbols)], "fcc", cubic=True)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy() + zero * len(atoms), atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        made.append(atoms)
    return made


def test_a_potential_with_another_zero_keeps_its_elements_and_their_energies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copper 3 eV/atom higher than the source has it: silver and gold, not among the labels, stay where they are."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("old.xyz", frames(["Cu", "Ag", "Au"], 24, zero=0.0), format="extxyz")
    ase.io.write("new.xyz", frames(["Cu"], 12, zero=3.0), format="extxyz")
    for name in ("old", "new"):
        words = f"build-graphs {name}.xyz --targets energy,forces --featurizer radius --cutoff 4 -o {name}.h5"
        assert run(words.split()) == 0
    common = "--epochs 3 --batch-size 4 --split random --no-compare --threads 1 -q"
    assert run(f"train old.h5 --arch pair-moments -o old {common}".split()) == 0
    with monkeypatch.context() as patch:  # the constant of copper is not that of silver: it is learned
        patch.delattr("crystal_energy.constant.Constant.take")
        assert run(f"train new.h5 --from old --refit-normaliser --replay old.h5 -o new {common}".split()) == 0
    model = model_file.load(Path("new/model.safetensors"))[0]
    assert model.spec.statistics.elements == (29, 47, 79)
    found = json.loads(Path("new/report.json").read_text())
    assert found["replay"]["changed"]["energy"]["unit"] == "eV/atom"
    assert found["replay"]["changed"]["energy"]["mae"] < 0.1
    assert found["test"]["energy"]["model"]["mae"] < 0.5  # and not 3: references of copper are fitted anew
    origin = model_file.load(Path("old/model.safetensors"))[0]
    for cache, moved in (("old.h5", 0.0), ("new.h5", 3.0)):
        data = GraphDataset.open([Path(cache)])
        silver = np.array([k for k in range(len(data)) if data.elements(np.array([k])) == [47]] or [0])
        values = [evaluation.collect(m, data, silver, 4)["energy"].value for m in (origin, model)]  # type: ignore[arg-type]
        assert values[1] - values[0] == pytest.approx(np.full(len(silver), moved), abs=0.3)
