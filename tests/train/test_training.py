"""Training as a whole: same bits, resumed bits, numerical failure, splits by what the data are."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli
import torch
from common import small_cache
from common.some_trainings import asked, changed, describe, resume, train

from crystalcli.contracts.host import Host, Reporter
from crystalcli.contracts.nn.basis import GaussianBasis
from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.data.splits import made as parted
from crystalcli.engine.model import model_file
from crystalcli.engine.run import checkpoint
from crystalcli.engine.run.locks import locked
from crystalcli.engine.run.stopping import StopSignal
from crystalcli.train.choice import architecture, suited
from crystalcli.train.labels import check_values
from crystalcli.train.loop import Trainer
from crystalcli.vocabulary.errors import EnvironmentProblem, NumericalFailure, Stopped, UsageError
from crystalcli.vocabulary.quantities import Quantity

ENERGY = small_cache.ENERGY.name
RECIPE = Recipe(batch_size=8, epochs=4, ema=0.9, lr=5e-3, schedule="one-cycle")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_cache.write(tmp_path_factory.mktemp("caches") / "graphs.h5")


def plan(cache: Path, output: Path, **changes: Any) -> Request:
    made = asked(
        arch="cgcnn",
        head="crystal",
        output=str(output),
        caches=(str(cache),),
        arch_options={"n_conv": 1, "width": 8},
        head_options={"hidden": 8},
        recipe=RECIPE,
        split="random",
        fractions="0.6,0.2,0.2",
        device="cpu",
        threads=1,
    )
    return changed(made, **changes)


class StopAfter(StopSignal):
    """Asks to stop after so many questions."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.left = questions

    def reason(self) -> str | None:
        self.left -= 1
        return "a test" if self.left < 0 else None


def test_same_seed_same_bytes_and_zero_is_a_seed(cache: Path, tmp_path: Path) -> None:
    blobs = [train(plan(cache, tmp_path / f"{k}", seed=seed)).model.read_bytes() for k, seed in enumerate((0, 0, 1))]
    assert blobs[0] == blobs[1]
    assert blobs[0] != blobs[2]


@pytest.mark.parametrize("questions", [0, 1, 5, 9])
@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, optimizer="sgd", schedule="plateau", ema=0.0)])
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(
    cache: Path, tmp_path: Path, questions: int, recipe: Recipe
) -> None:
    whole = train(plan(cache, tmp_path / "whole", recipe=recipe, step_epochs=1))
    with pytest.raises(Stopped, match="--resume"):
        train(
            plan(cache, tmp_path / "cut", recipe=recipe, step_epochs=1, checkpoint_every=0.0), stop=StopAfter(questions)
        )
    assert json.loads((tmp_path / "cut" / "run.json").read_text())["exit_code"] == 75
    resumed = resume(tmp_path / "cut")
    assert resumed.model.read_bytes() == whole.model.read_bytes()

    def numbers(folder: Path) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in r.items() if k != "seconds"} for r in rows]

    assert numbers(resumed.folder) == numbers(whole.folder)
    assert json.loads((resumed.folder / "run.json").read_text())["exit_code"] == 0
    record = (resumed.folder / "run.json").read_bytes()
    assert resume(tmp_path / "cut").before
    assert (resumed.folder / "run.json").read_bytes() == record
    assert json.loads((resumed.folder / "run.json").read_text())["exit_code"] == 0


def test_other_circumstances_are_said_where_a_run_goes_on(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a state of before does not say is taken to be the same."""
    here = checkpoint.circumstances
    for name in ("new", "old"):
        with monkeypatch.context() as patch:

            def kept(*a: Any, old: bool = name == "old", **more: Any) -> dict[str, Any]:
                return {k: v for k, v in here(*a, **more).items() if not (old and k == "device")}

            patch.setattr(checkpoint, "circumstances", kept)
            with pytest.raises(Stopped):
                train(plan(cache, tmp_path / name, checkpoint_every=0.0), stop=StopAfter(1))
        heard: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "_kind", lambda _device: "abacus")
            resume(tmp_path / name, {"threads": 2}, Host(warn=heard.append))
        torch.set_num_threads(1)
        both = ("threads was 1, now 2", "device was cpu, now abacus")
        said = [f"{what}: not bit-identical to one long run" for what in both]
        assert heard == (said if name == "new" else said[:1])
    heard.clear()
    with pytest.raises(Stopped):
        train(plan(cache, tmp_path / "same", checkpoint_every=0.0), stop=StopAfter(1))
    resume(tmp_path / "same", {}, Host(warn=heard.append))
    assert heard == []


def test_a_training_state_that_means_something_else_here_is_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        train(plan(cache, tmp_path / "cut", checkpoint_every=0.0), stop=StopAfter(1))
    before = GaussianBasis.forward
    with monkeypatch.context() as patch:
        patch.setattr(GaussianBasis, "forward", lambda self, r: before(self, 1.001 * r))
        with pytest.raises(NumericalFailure, match="does not say here what it said"):
            resume(tmp_path / "cut")
    assert resume(tmp_path / "cut").model.exists()


def test_a_run_that_is_being_trained_is_left_alone(cache: Path, tmp_path: Path) -> None:
    mine = plan(cache, tmp_path / "run", step_epochs=1, checkpoint_every=0.0)
    with pytest.raises(Stopped):
        train(mine, stop=StopAfter(1))
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with locked(tmp_path / "run" / "run"):
        for again in (
            lambda: resume(tmp_path / "run"),
            lambda: train(mine, overwrite=True),
        ):
            with pytest.raises(EnvironmentProblem, match=f"process {os.getpid()} on .* is writing it"):
                again()
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


def test_resume_refuses_changed_input(tmp_path: Path) -> None:
    mine = small_cache.write(tmp_path / "g.h5", 20)
    with pytest.raises(Stopped):
        train(plan(mine, tmp_path / "run"), stop=StopAfter(1))
    small_cache.write(mine, 21)
    with pytest.raises(UsageError, match="not the file"):
        resume(tmp_path / "run")


@pytest.mark.parametrize("epoch", [0, 2])
def test_nan_loss_stops_names_the_structure_and_keeps_the_best(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    from crystalcli.engine.data.dataset import GraphDataset

    plain, armed = GraphDataset.batch, {"on": epoch == 0}
    victim = 'salt "00", ClNa'

    def poisoned(self: GraphDataset, index: Any, targets: Any = (), dtype: torch.dtype = torch.float32) -> Any:
        batch = plain(self, index, targets, dtype)
        hit = [k for k, i in enumerate(index) if self.ids[i] == victim]
        if armed["on"] and hit and targets:
            batch.labels[ENERGY].value[hit[0]] = torch.nan
        return batch

    def validated(self: Trainer, seconds: float) -> None:
        real_validate(self, seconds)
        armed["on"] |= self.progress.epoch >= epoch

    real_validate = Trainer._validate
    monkeypatch.setattr(GraphDataset, "batch", poisoned)
    monkeypatch.setattr(Trainer, "_validate", validated)
    wished = plan(cache, tmp_path / "run", split_file=str(_everything_but_two(cache, tmp_path, victim)))
    with pytest.raises(NumericalFailure, match="not a number") as caught:
        train(wished)
    assert victim in str(caught.value)
    named = json.loads((tmp_path / "run" / "failed-batch.json").read_text())
    assert named["ids"] == [victim]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 7
    kept = tmp_path / "run" / "model.safetensors"
    assert kept.exists() == (epoch > 0)
    if epoch:
        model, _ = model_file.load(kept)
        assert all(torch.isfinite(v).all() for v in model.state_dict().values())


def _everything_but_two(cache: Path, folder: Path, victim: str) -> Path:
    from crystalcli.engine.data.dataset import GraphDataset

    ids = list(GraphDataset.open([cache]).ids)
    others = [i for i in ids if i != victim]
    path = folder / "splits.json"
    path.write_text(json.dumps({"train": [victim, *others[:20]], "val": others[20:25], "test": others[25:]}))
    return path


def test_the_report_stands_beside_baselines_and_learns(cache: Path, tmp_path: Path) -> None:
    report = train(plan(cache, tmp_path / "run", recipe=replace(RECIPE, epochs=20, residual_of="elements")))
    test = report.data["test"]["energy_per_atom"]
    assert test["unit"] == "eV/atom"
    assert test["model"]["mae"] < test["baselines"]["mean"]["mae"] / 2
    assert set(test["baselines"]) == {"mean", "elements", "pairs"}
    assert set(test["by_element"]) <= {"Na", "Cl", "K", "Li", "F", "Mg", "O", "Ca", "Br"}
    files = {p.name for p in report.folder.iterdir()}
    assert files >= {
        "config.toml",
        "run.json",
        "metrics.jsonl",
        "log.txt",
        "splits.json",
        "model.safetensors",
        "predictions-test.csv",
        "report.json",
        "learning-curve.png",
        "parity.png",
    }
    splits = json.loads((report.folder / "splits.json").read_text())
    assert sum(len(splits[p]) for p in ("train", "val", "test")) == 42


def test_statistics_are_those_of_the_training_part(cache: Path, tmp_path: Path) -> None:
    report = train(plan(cache, tmp_path / "run", recipe=replace(RECIPE, epochs=1)))
    model, provenance = model_file.load(report.model)
    from crystalcli.engine.data.dataset import GraphDataset

    data = GraphDataset.open([cache])
    chosen = [list(data.ids).index(i) for i in provenance["split"]["train"]]
    values = data.columns["energy_per_atom"].values[chosen]
    assert model.spec.statistics.target_mean["energy_per_atom"] == pytest.approx(values.mean(), rel=1e-12)
    assert model.spec.statistics.target_scale["energy_per_atom"] == pytest.approx(values.std(), rel=1e-12)


def test_several_targets_with_missing_labels(tmp_path: Path) -> None:
    atoms = small_cache.crystals(42)
    full = small_cache.energies(atoms)
    mask = np.arange(42) % 3 > 0
    columns = [
        Column(small_cache.ENERGY, full, np.ones(42, dtype=bool)),
        Column(Quantity("gap", "eV"), np.where(mask, 100 * full, np.nan), mask),
    ]
    cache = small_cache.write(tmp_path / "g.h5", columns=columns)
    with pytest.raises(UsageError, match="several labels"):
        train(plan(cache, tmp_path / "run"))
    report = train(plan(cache, tmp_path / "run", target=("energy_per_atom", "gap")))
    test = report.data["test"]
    assert test["gap"]["model"]["n"] < test["energy_per_atom"]["model"]["n"]
    assert (report.folder / "parity-gap.png").exists()


def test_constant_targets_few_structures_and_strange_wishes_are_refused_before_anything_is_written(
    cache: Path, tmp_path: Path
) -> None:
    same = [Column(small_cache.ENERGY, np.ones(20), np.ones(20, dtype=bool))]
    none = [Column(small_cache.ENERGY, np.full(20, np.nan), np.zeros(20, dtype=bool))]
    constant = small_cache.write(tmp_path / "constant.h5", 20, columns=same)
    empty = small_cache.write(tmp_path / "empty.h5", 20, columns=none)
    wrong = [
        (plan(constant, tmp_path / "run"), "nothing to learn"),
        (plan(empty, tmp_path / "run"), "too few"),
        (plan(cache, tmp_path / "run", target=("energy",)), "energy_per_atom"),
        (plan(cache, tmp_path / "run", split="group", group="prototype"), "text column 'prototype'"),
        (plan(cache, tmp_path / "run", split="auto", leave_out="Xx"), "no element"),
        (plan(cache, tmp_path / "run", split="auto", leave_out="He"), "nothing to leave out"),
        (plan(cache, tmp_path / "run", split="time"), "too short"),
    ]
    for wished, message in wrong:
        with pytest.raises(UsageError, match=message):
            train(wished)
    with pytest.raises(EnvironmentProblem, match="cuda:97"):
        train(plan(cache, tmp_path / "run", device="cuda:97"))
    assert not (tmp_path / "run").exists()


def test_outliers_and_unseen_elements_are_said(tmp_path: Path) -> None:
    atoms = small_cache.crystals(42)
    values = small_cache.energies(atoms)
    values[5] = 1e6
    cache = small_cache.write(tmp_path / "g.h5", columns=[Column(small_cache.ENERGY, values, np.ones(42, dtype=bool))])
    heard: list[str] = []
    wished = plan(cache, tmp_path / "run", split="auto", leave_out="Mg", recipe=replace(RECIPE, epochs=1))
    train(wished, Host(warn=heard.append))
    assert any("1e+06" in w and '"05"' in w for w in heard), heard
    assert any("never sees: O, Mg" in w for w in heard), heard


@pytest.mark.parametrize("wrong", [False, True])
def test_totals_of_crystals_of_several_sizes_are_no_outliers(tmp_path: Path, wrong: bool) -> None:
    """They are looked at per atom, where one that is wrong is seen, too."""
    size = np.array([400 if k in (7, 8) else 2 for k in range(42)])
    atoms = [a if n == 2 else a.repeat((10, 5, 4)) for a, n in zip(small_cache.crystals(42), size, strict=True)]
    values = -4.0 * size + np.linspace(0.0, 0.1, 42) * size
    values[5] += 300.0 * wrong
    total = Quantity("energy", "eV", extensive=True)
    cache = small_cache.write(
        tmp_path / "g.h5", structures=atoms, columns=[Column(total, values, np.ones(42, dtype=bool))]
    )
    data = GraphDataset.open([cache])
    parts = parted(np.arange(30), np.arange(30, 36), np.arange(36, 42), "")
    heard: list[str] = []
    check_values(data, total, parts, data.ids, Reporter(warn=heard.append))
    said = "1 label 'energy' is very far from the median"
    assert [(said in h, "eV/atom: " in h, '"05"' in h) for h in heard] == wrong * [(True, True, True)]


def test_a_stopped_run_leaves_its_best_model_and_an_unfinished_report(cache: Path, tmp_path: Path) -> None:
    """Stopped before an epoch: no model; after one: a model of the best; ended or gone on with: a whole run."""
    with pytest.raises(Stopped, match="--resume"):
        train(plan(cache, tmp_path / "early"), None, StopAfter(1))
    assert not (tmp_path / "early" / "model.safetensors").exists()
    with pytest.raises(UsageError, match="no epoch of it is finished"):
        resume(tmp_path / "early", end=True)
    resume(tmp_path / "early")
    with pytest.raises(Stopped, match="--finish"):
        train(plan(cache, tmp_path / "late"), None, StopAfter(10))
    late = tmp_path / "late"
    unfinished = json.loads((late / "report.json").read_text())
    assert (unfinished["finished"], unfinished["exit_code"], unfinished["epochs"]) == (False, 75, 2)
    assert json.loads((late / "run.json").read_text())["exit_code"] == 75
    kept, _ = model_file.load(late / "model.safetensors")
    assert kept.spec.targets[0].name == ENERGY
    report = resume(late, end=True)
    assert (report.data["finished"], report.data["epochs"], report.data["exit_code"]) == (True, 2, 0)
    assert report.data["test"] == unfinished["test"]
    assert json.loads((late / "run.json").read_text())["exit_code"] == 0
    assert not list(late.glob("state-*"))
    again = resume(late)
    assert again.before
    assert again.data == report.data


def test_a_run_that_goes_on_after_its_unfinished_report_is_the_long_run(cache: Path, tmp_path: Path) -> None:
    train(plan(cache, tmp_path / "whole"))
    with pytest.raises(Stopped):
        train(plan(cache, tmp_path / "cut"), None, StopAfter(10))
    resume(tmp_path / "cut")
    for name in ("model.safetensors", "predictions-test.csv", "parity.png", "learning-curve.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name


def split_said(cache: Path, output: Path, **split: Any) -> tuple[str, dict[str, int]]:
    facts = describe(plan(cache, output, split="auto", **split))["split"]
    return facts["how"], facts["sizes"]


def test_the_default_split_follows_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one = [small_cache.crystals(1)[0] for _ in range(120)]
    for atoms in one:
        atoms.positions += rng.normal(0, 0.03, atoms.positions.shape)
    frames = [f"run.xyz:{k}" for k in range(120)]

    def column(values: np.ndarray) -> list[Column]:
        return [Column(small_cache.ENERGY, values, np.ones(120, dtype=bool))]

    noise = rng.normal(size=120)
    flat = small_cache.write(tmp_path / "flat.h5", structures=one, sources=frames, columns=column(noise))
    how, sizes = split_said(flat, tmp_path)
    assert how.startswith("time blocks with a gap of")
    assert sum(sizes.values()) < 120
    ramp = small_cache.write(
        tmp_path / "ramp.h5", structures=one, sources=frames, columns=column(noise + np.arange(120))
    )
    assert "interleaved" in split_said(ramp, tmp_path)[0]
    loose = small_cache.write(tmp_path / "loose.h5", structures=one, columns=column(noise))
    assert "no steps of a run" in split_said(loose, tmp_path)[0]
    seven = small_cache.write(tmp_path / "seven.h5", 42)
    assert "grouped by formula (7 formulas)" in split_said(seven, tmp_path)[0]
    words = [{"split": ("train", "val", "test")[k % 3]} for k in range(42)]
    tagged = small_cache.write(tmp_path / "tagged.h5", 42, tags=words)
    said = split_said(tagged, tmp_path, fractions="0.8,0.1,0.1")
    assert said == ("column 'split'", {"train": 14, "val": 14, "test": 14})


def test_given_caches_are_the_parts(tmp_path: Path) -> None:
    paths = {n: small_cache.write(tmp_path / f"{n}.h5", k) for n, k in (("train", 30), ("val", 14), ("test", 7))}
    wished = plan(paths["train"], tmp_path / "run", split="auto", caches=(), **{n: (p,) for n, p in paths.items()})
    heard: list[str] = []
    found = describe(wished, Host(warn=heard.append))
    assert found["split"]["sizes"] == {"train": 30, "val": 14, "test": 7}
    assert any(
        w == 'leak: 7 test structures are exact copies of train structures (e.g. test:salt "00", ClNa)' for w in heard
    )


def test_copies_in_other_clothes_are_found(tmp_path: Path) -> None:
    """Rotated, permuted, repeated, shifted: the same crystal under another id in another part."""
    originals = small_cache.crystals(20)
    rotated = originals[0].copy()
    rotated.rotate(37, (1, 2, 3), rotate_cell=True)
    shifted = originals[3].copy()
    shifted.translate((0.3, 0.1, 0.2))
    copies = [rotated, originals[1][[1, 0]], originals[2] * (2, 1, 2), shifted]
    strained = originals[4].copy()
    strained.set_cell(strained.cell * 1.001, scale_atoms=True)
    cache = small_cache.write(tmp_path / "g.h5", structures=[*originals, *copies, strained])
    from crystalcli.engine.data.dataset import GraphDataset

    ids = list(GraphDataset.open([cache]).ids)
    (tmp_path / "s.json").write_text(json.dumps({"train": ids[:15], "val": ids[15:20], "test": ids[20:]}))
    found = describe(plan(cache, tmp_path, split_file=str(tmp_path / "s.json")), Host())["leaks"]
    assert [(x["n"], x["parts"]) for x in found if x["kind"] == "copy"] == [(4, ["train", "test"])]
    assert not [x for x in found if x["kind"] == "structure"]


@pytest.mark.parametrize(("structures", "size"), [(6, 4), (17, 4), (32, 8), (255, 63), (511, 127), (10_000, 128)])
def test_few_structures_make_small_batches(cache: Path, structures: int, size: int) -> None:
    registered = architecture(plan(cache, Path("x")))
    assert registered.recipe.batch_size == 128
    assert suited(plan(cache, Path("x"), batch_size=None), structures) == size


@pytest.mark.parametrize(("asked_for", "size"), [(None, 6), (64, 64), (3, 3)])
def test_a_size_that_was_said_stays(cache: Path, tmp_path: Path, asked_for: int | None, size: int) -> None:
    said: list[str] = []
    wished = plan(cache, tmp_path / "run", recipe=replace(RECIPE, epochs=1), batch_size=asked_for)
    train(wished, Host(say=said.append))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["request"]["options"]["batch_size"] == asked_for
    assert record["settled"] == ({} if asked_for else {"batch_size": size})
    config = tomli.loads((tmp_path / "run" / "config.toml").read_text())["train"]
    assert config["batch_size"] == size
    lines = [s.split(",")[0] for s in said if s.startswith("batch size")]
    assert lines == ([] if asked_for else ["batch size: 6 instead of 128"])
    assert train(wished).before  # what was settled does not make it another run
