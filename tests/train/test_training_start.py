"""Training that starts from a trained model: zero steps are the source, what is frozen stays, a new head is new."""

from dataclasses import replace
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
import torch
from common import small_cache
from common.some_trainings import train
from train.test_training import RECIPE, plan

from crystalcli.cli.main import run
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

NOTHING = replace(RECIPE, epochs=0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


@pytest.fixture(scope="module")
def source(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "run"
    train(plan(cache, folder))
    return folder


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same crystals with energies 1 eV/atom higher: training on has something to gain."""
    structures = small_cache.crystals(42)
    column = Column(small_cache.ENERGY, small_cache.energies(structures) + 1.0, np.ones(42, dtype=bool))
    return small_cache.write(tmp_path_factory.mktemp("caches") / "shifted.h5", structures=structures, columns=[column])


def start(cache: Path, output: Path, source: Path, **changes: object) -> Request:
    return plan(cache, output, from_=source, **changes)


def predictions(folder: Path, cache: Path) -> torch.Tensor:
    model = model_file.load(folder / "model.safetensors")[0]
    batch = GraphDataset.open([cache]).batch(np.arange(12))
    with torch.no_grad():
        return next(iter(model(batch.graph).values())).value


def test_no_step_is_the_source(cache: Path, source: Path, tmp_path: Path) -> None:
    train(start(cache, tmp_path / "zero", source, recipe=NOTHING))
    assert torch.equal(predictions(tmp_path / "zero", cache), predictions(source, cache))


def test_of_several_labels_those_of_the_model_are_learned(source: Path, tmp_path: Path) -> None:
    structures, here = small_cache.crystals(42), np.ones(42, dtype=bool)
    columns = [Column(Quantity("gap", "eV"), np.linspace(0.0, 3.0, 42), here)]
    columns.append(Column(small_cache.ENERGY, small_cache.energies(structures), here))
    both = small_cache.write(tmp_path / "both.h5", structures=structures, columns=columns)
    said: list[str] = []
    train(start(both, tmp_path / "run", source, recipe=NOTHING), Host(say=said.append))
    assert "targets: energy_per_atom, as the model's" in said
    assert [q.name for q in model_file.load(tmp_path / "run/model.safetensors")[0].spec.targets] == ["energy_per_atom"]
    with pytest.raises(UsageError, match="several labels; choose with --target"):
        train(start(both, tmp_path / "new", source, recipe=RECIPE, new_head=True))


def test_of_a_model_with_a_zeroth_term_too_and_under_another_name(cache: Path, tmp_path: Path) -> None:
    train(plan(cache, tmp_path / "residual", recipe=replace(RECIPE, residual_of="elements")))
    structures = small_cache.crystals(42)
    values = small_cache.energies(structures) + 5.0
    column = Column(Quantity("e_form", "eV/atom"), values, np.ones(42, dtype=bool))
    other = small_cache.write(tmp_path / "other.h5", structures=structures, columns=[column])
    train(start(other, tmp_path / "zero", tmp_path / "residual", recipe=NOTHING))
    assert torch.equal(predictions(tmp_path / "zero", cache), predictions(tmp_path / "residual", cache))
    # with means and scales of the new labels it is another model
    train(start(other, tmp_path / "refit", tmp_path / "residual", recipe=NOTHING, refit_normaliser=True))
    assert not torch.equal(predictions(tmp_path / "refit", cache), predictions(tmp_path / "residual", cache))


def test_what_is_frozen_stays_and_the_rest_moves(shifted: Path, source: Path, tmp_path: Path) -> None:
    made = start(shifted, tmp_path / "part", source, freeze=("architecture.*",), freeze_norm="yes")
    train(made)
    before, after = (model_file.load(f / "model.safetensors")[0].state_dict() for f in (source, tmp_path / "part"))
    moved = {n for n in before if not torch.equal(before[n], after[n])}
    assert moved
    assert all(n.startswith("head.") for n in moved)


def test_statistics_of_batch_norms_are_kept_for_few_structures_only(
    shifted: Path, source: Path, tmp_path: Path
) -> None:
    def moved(choice: str) -> bool:
        train(start(shifted, tmp_path / choice, source, freeze_norm=choice))
        name = "architecture.convolutions.0.norm_edges.running_mean"
        states = [model_file.load(f / "model.safetensors")[0].state_dict()[name] for f in (source, tmp_path / choice)]
        return not torch.equal(*states)

    assert [moved(c) for c in ("auto", "yes", "no")] == [False, False, True]


def test_a_new_head_learns_another_label(source: Path, tmp_path: Path) -> None:
    structures = small_cache.crystals(42)
    column = Column(Quantity("gap", "eV"), np.linspace(0, 4, 42), np.ones(42, dtype=bool))
    gaps = small_cache.write(tmp_path / "gaps.h5", structures=structures, columns=[column])
    with pytest.raises(UsageError, match=r"'gap' \(eV\) is not what the model predicts.*--new-head"):
        train(start(gaps, tmp_path / "no", source))
    train(start(gaps, tmp_path / "new", source, new_head=True, recipe=NOTHING))
    before, after = (model_file.load(f / "model.safetensors")[0].state_dict() for f in (source, tmp_path / "new"))
    for name, value in before.items():
        assert torch.equal(value, after[name]) != name.startswith("head.") or value.numel() == 0


def test_weights_with_a_factor_learn_more_slowly(cache: Path, shifted: Path, source: Path, tmp_path: Path) -> None:
    """One step of sgd moves every weight by lr · gradient: a factor of the lr is a factor of the step."""
    step = replace(RECIPE, epochs=1, batch_size=64, optimizer="sgd", schedule="constant", weight_decay=0.0, clip=0.0)
    before = model_file.load(source / "model.safetensors")[0].state_dict()
    moved = {}
    for name, factors in (("plain", ()), ("slow", ("architecture.*=0.1", "architecture.embed.*=0.5"))):
        made = start(shifted, tmp_path / name, source, lr_factor=factors, recipe=replace(step, lr=1e-3), momentum=0.0)
        train(made)
        after = model_file.load(tmp_path / name / "model.safetensors")[0].state_dict()
        moved[name] = {k: after[k] - v for k, v in before.items() if v.is_floating_point()}
    for name, weight in moved["plain"].items():
        share = 0.5 if ".embed." in name else 0.1 if name.startswith("architecture.") else 1.0
        if "running" not in name:
            torch.testing.assert_close(moved["slow"][name], share * weight, rtol=1e-2, atol=2e-7)
    assert moved["plain"]["architecture.embed.weight"].abs().max() > 1e-5
    for wrong, said in (
        ("nix*=0.1", "matches no weights"),
        ("architecture.*", "PATTERN=FACTOR"),
        ("head.*=-1", "above 0"),
    ):
        with pytest.raises(UsageError, match=said):
            train(start(cache, tmp_path / "no", source, lr_factor=(wrong,)))
    assert not (tmp_path / "no").exists()


def test_members_go_on_from_members(cache: Path, tmp_path: Path) -> None:
    train(plan(cache, tmp_path / "e"), ensemble=2)
    train(start(cache, tmp_path / "again", tmp_path / "e", recipe=NOTHING), ensemble=2)
    assert torch.equal(predictions(tmp_path / "again", cache), predictions(tmp_path / "e", cache))


def test_members_of_one_source_differ_though_no_epoch_is_better(cache: Path, source: Path, tmp_path: Path) -> None:
    wild = replace(RECIPE, epochs=1, lr=0.3, ema=0.0)
    alone = train(start(cache, tmp_path / "one", source, recipe=wild))
    assert alone.data["best_epoch"] == 0
    found = train(start(cache, tmp_path / "e", source, recipe=wild), ensemble=2)
    assert [r["best_epoch"] for r in found.data["runs"]] == [1, 1]
    with pytest.raises(UsageError, match="the same model"):
        train(start(cache, tmp_path / "no", source, recipe=NOTHING), ensemble=2)


def test_a_model_with_a_baseline_does_not_stay_either_where_it_is_not_to(cache: Path, tmp_path: Path) -> None:
    """Of its source alone it is said whether it stays; a baseline is no reason of its own there."""
    train(plan(cache, tmp_path / "source", recipe=replace(RECIPE, residual_of="elements")))
    wild = replace(RECIPE, epochs=1, lr=3.0, ema=0.0)
    stays = train(start(cache, tmp_path / "stays", tmp_path / "source", recipe=wild))
    assert stays.data["best_epoch"] == 0
    found = train(start(cache, tmp_path / "e", tmp_path / "source", recipe=wild), ensemble=2)
    assert [r["best_epoch"] for r in found.data["runs"]] == [1, 1]


def test_fewer_structures_are_nested(cache: Path, tmp_path: Path) -> None:
    from crystalcli.contracts.host import Host
    from crystalcli.train.setup import prepare

    parts = [prepare(plan(cache, tmp_path / "x", train_size=n), Host()).split for n in (5, 10, 0)]
    assert [len(p.train) for p in parts] == [5, 10, 26]
    assert set(parts[0].train) < set(parts[1].train) < set(parts[2].train)
    assert all(np.array_equal(p.test, parts[0].test) for p in parts)


def test_members_of_few_structures_see_few_between_them(tmp_path: Path) -> None:
    from crystalcli.contracts.host import Host
    from crystalcli.train.setup import prepare

    salts = [f"{a}{b}" for a in ("Li", "Na", "K", "Rb", "Cs") for b in ("F", "Cl", "Br", "I")]
    many = [ase.build.bulk(name, "rocksalt", a=a) for name in salts for a in (5.0, 5.2, 5.4, 5.6, 5.8)]
    cache = small_cache.write(tmp_path / "many.h5", structures=many)
    fraction = {"split": "auto", "fractions": "0.4,0.4,0.2"}
    members = [plan(cache, tmp_path / "x", train_size=20, member=m, **fraction) for m in range(6)]
    parts = [prepare(one, Host()).split for one in members]
    taught = set().union(*(p.train.tolist() for p in parts))
    assert 20 < len(taught) <= 40  # and not all 80: as many of the validation part are dealt as train
    assert len({tuple(p.train) for p in parts}) > 1
    assert len({tuple(np.union1d(p.train, p.val)) for p in parts}) == 1
    assert not taught & set(parts[0].test.tolist())


def test_at_the_command_line(cache: Path, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    common = ["train", str(cache), "--from", str(source), "--threads", "1"]
    assert run([*common, "--epochs", "1", "-o", str(tmp_path / "a"), "--freeze", "architecture.embed.*"]) == 0
    assert "statistics of batch norms kept" in capfd.readouterr().out
    assert run([*common, "--freeze", "nix*", "-o", str(tmp_path / "b")]) == 2
    assert "matches no weights; there are architecture.convolutions.0" in capfd.readouterr().err
    assert run([*common, "--n-conv", "2", "-o", str(tmp_path / "b")]) == 2
    capfd.readouterr()
    other = small_cache.write(tmp_path / "other.h5", options={"cutoff": 6.0, "max_neighbors": 8, "ties": "cut"})
    assert run(["train", str(other), "--from", str(source), "-o", str(tmp_path / "b")]) == 2
    assert "cutoff 6.0 (here 8.0)" in capfd.readouterr().err
    assert run(["train", str(cache), "--epochs", "0", "-o", str(tmp_path / "b")]) == 2
    assert "goes with --from" in capfd.readouterr().err


def test_a_test_on_what_taught_the_model_is_said(cache: Path, source: Path, tmp_path: Path) -> None:
    """The same split tests what the source has not seen; another one tests what taught it."""
    heard: list[str] = []
    train(start(cache, tmp_path / "same", source, recipe=NOTHING), Host(warn=heard.append))
    assert not [line for line in heard if "trained or validated" in line]
    train(start(cache, tmp_path / "other", source, recipe=NOTHING, split_seed=5), Host(warn=heard.append))
    said = [line for line in heard if "test structures, by their crystals, trained or validated" in line]
    assert len(said) == 1
    known = {n for p in ("train", "val") for n in model_file.load(source / "model.safetensors")[1]["split"][p]}
    test = model_file.load(tmp_path / "other" / "model.safetensors")[1]["split"]["test"]
    assert said[0].startswith(f"{len(known & set(test))} of {len(test)} test structures")


def test_graphs_of_another_kind_say_how_the_model_wants_them(
    cache: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(cache), "--from", "formation-energy", "-o", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "was not built as the model's graphs were: featurizer cgcnn (here symmetry)" in said
    assert "build it for formation-energy: crystal build-graphs … --featurizer symmetry" in said
    other = tmp_path / "k8.h5"
    ase.io.write(tmp_path / "s.extxyz", small_cache.crystals(3))
    assert run(["build-graphs", str(tmp_path / "s.extxyz"), "--max-neighbors", "8", "-o", str(other), "-q"]) == 0
    assert run(["train", str(other), "--from", str(source), "-o", str(tmp_path / "run")]) == 2
    assert "--max-neighbors" not in capsys.readouterr().err.partition("crystal build-graphs …")[2]  # 12 is the default
