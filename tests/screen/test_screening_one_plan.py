"""One plan for a screening in one step and for a campaign: what is asked, candidates of files and caches, recipes."""

import csv
import io
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import tomli_w
import torch
from common import small_cache, some_campaign
from common.some_trainings import train
from rich.console import Console
from screen.test_campaign import COMMAND
from train.test_training import ENERGY
from train.test_training import plan as training_plan_of

from crystalcli.cli.console import Face
from crystalcli.cli.invocation import Invocation
from crystalcli.cli.main import run as crystal
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.cache.cache import Column
from crystalcli.engine.host import life
from crystalcli.engine.record import run_record
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.screen import decider, reading
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.plan import one_step
from crystalcli.screen.recipe import training_plan
from crystalcli.screen.run import Screening
from crystalcli.screen.workflow import SCREEN
from crystalcli.train.choice import recipe_of
from crystalcli.vocabulary.errors import Stopped, UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.thresholds import Threshold


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("model")
    made = training_plan_of(small_cache.write(folder / "graphs.h5"), folder / "ensemble")
    return train(made, ensemble=3).folder


def table(run: Path) -> dict[str, dict[str, str]]:
    with (run / "screening.csv").open() as file:
        return {r["id"]: r for r in csv.DictReader(file)}


def screened(path: Path, **options: object) -> tuple[dict[str, object], list[str]]:
    said: list[str] = []
    request = Request(ScreenOptions(threads=1, **options), path=path)  # type: ignore[arg-type]
    return dict(life.run(SCREEN, request, Host(said.append, said.append)).data), said


def frames(path: Path, n: int, **labels: list[float]) -> list[str]:
    """Crystals of the cache as a file; returns their ids."""
    made = small_cache.crystals(n)
    for k, atoms in enumerate(made):
        atoms.info = {"id": f"x{k:02d}", **{name: float(v[k]) for name, v in labels.items()}}
    ase.io.write(path, made, columns=["symbols", "positions"])
    return [a.info["id"] for a in made]


def test_files_and_caches_are_screened_alike(model: Path, tmp_path: Path) -> None:
    """Graphs of a cache, and graphs made of the structures in memory; labels are compared with in both."""
    truth = small_cache.energies(small_cache.crystals(9)).tolist()
    ids = frames(tmp_path / "some.extxyz", 9, **{ENERGY: truth})
    cache = small_cache.write(tmp_path / "some.h5", 9)
    found = []
    for source in (tmp_path / "some.extxyz", cache):
        report, _ = screened(tmp_path / source.suffix[1:], candidates=(str(source),), model=model)
        assert report["candidates"] == 9
        found.append((report["stability"], list(table(tmp_path / source.suffix[1:]).values())))
    (of_files, a), (of_cache, b) = found
    assert {r["id"] for r in a} == set(ids)
    numbers = [sorted([r[k] for r in rows] for k in ("E_f [eV/atom]", "sigma [eV/atom]")) for rows in (a, b)]
    np.testing.assert_allclose(*(np.array(n, dtype=float) for n in numbers), atol=2e-6)
    assert of_files == pytest.approx(of_cache, rel=1e-4)
    assert [r["decision"] for r in a] == [r["decision"] for r in b]
    assert not list((tmp_path / "extxyz").glob("*.h5"))  # graphs are in memory


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a band gap and a formation energy, in this order."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("two")
    return two_targets(folder, Quantity("band_gap"), Quantity("formation_energy_per_atom"))


def two_targets(folder: Path, *quantities: Quantity) -> Path:
    known, every = small_cache.energies(small_cache.crystals(42)), np.ones(42, dtype=bool)
    values = (20.0 - known, known)
    columns = [Column(q, v, every) for q, v in zip(quantities, values, strict=True)]
    cache = small_cache.write(folder / "graphs.h5", columns=columns)
    made = training_plan_of(cache, folder / "ensemble", target=tuple(q.name for q in quantities))
    return train(made, ensemble=2, epochs=3).folder


@pytest.mark.parametrize("target", ["band_gap", "formation_energy_per_atom"])
def test_a_model_of_several_targets_is_screened_on_the_one_that_is_chosen(
    target: str, of_two: Path, tmp_path: Path
) -> None:
    ids = frames(tmp_path / "some.extxyz", 6)
    asked = {"candidates": (str(tmp_path / "some.extxyz"),), "model": of_two}
    with pytest.raises(UsageError, match=r"predicts band_gap, formation_energy_per_atom; choose .* with --target NAME"):
        screened(tmp_path / "none", **asked)
    with pytest.raises(UsageError, match=r"predicts band_gap, .*, not 'bandgap' \(did you mean 'band_gap'\?\)"):
        screened(tmp_path / "other", target="bandgap", **asked)
    assert not (tmp_path / "none").exists()
    screened(tmp_path / "run", target=target, **asked)
    rows = [r for r in Predictor(of_two).predict([str(tmp_path / "some.extxyz")]) if isinstance(r, Row)]
    found = table(tmp_path / "run")
    assert {r.id for r in rows} == set(ids)
    for row in rows:
        assert float(found[row.id]["E_f [eV/atom]"]) == pytest.approx(row.values[target], abs=2e-6)
        assert float(found[row.id]["sigma [eV/atom]"]) == pytest.approx(row.uncertainties[target]["sigma"], abs=2e-6)


def test_of_several_targets_only_one_of_which_can_be_a_formation_energy_that_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gap, energy = Quantity("band_gap", "eV"), Quantity("formation_energy_per_atom", "eV/atom")
    targets = [gap, energy]
    head = {"spec": {"targets": targets}, "members": []}
    monkeypatch.setattr(decider, "named_by", lambda path: path)
    monkeypatch.setattr(
        decider, "read_head", lambda _: head | {"spec": {"targets": [q.to_json() for q in head["spec"]["targets"]]}}
    )
    rule = Threshold(2.0, "sigma")
    found, note = decider.decider("m", "", rule, str)
    assert found == energy
    assert note == "the formation energy is 'formation_energy_per_atom' of the model, which predicts band_gap as well"
    targets[1] = replace(energy, unit="eV", extensive=True)
    with pytest.raises(UsageError, match="predicts band_gap, formation_energy_per_atom, and none can be"):
        decider.decider("m", "", rule, str)


def test_what_the_members_say_is_behind_mean_and_spread(model: Path) -> None:
    entries = [Entry(str(k), a, "") for k, a in enumerate(small_cache.crystals(5))]
    rows = [r for r in Predictor(model).of_entries(entries) if isinstance(r, Row)]
    assert len(rows) == 5
    for row in rows:
        said = np.array(row.members[ENERGY])
        assert said.shape == (3,)
        assert row.values[ENERGY] == pytest.approx(said.mean(), abs=1e-6)
        assert row.uncertainties[ENERGY]["sigma_e"] == pytest.approx(said.std(), abs=1e-6)
        assert said.std() > 1e-5


def test_reference_phases_without_a_label_are_counted(model: Path, tmp_path: Path) -> None:
    cache = small_cache.write(tmp_path / "some.h5", 8)
    mask = np.arange(8) % 4 == 1
    known = [Column(small_cache.ENERGY, np.full(8, -0.3), mask)]
    references = small_cache.write(tmp_path / "known.h5", 8, columns=known, stem="known")
    report, said = screened(tmp_path / "a", candidates=(str(cache),), model=model, references=(str(references),))
    assert report["references"] == 2
    assert "6 of 8 reference phases have no 'energy_per_atom' and are left out" in said
    frames(tmp_path / "none.extxyz", 3)
    with pytest.raises(UsageError, match="has no label 'e'"):
        screened(
            tmp_path / "b",
            candidates=(str(cache),),
            model=model,
            references=(str(tmp_path / "none.extxyz"),),
            reference_label="e",
        )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("arch", registry().names("architecture"))
def test_every_architecture_is_trained_by_its_own_recipe(arch: str, tmp_path: Path) -> None:
    """In one step and in a campaign, but for what is said."""
    architecture: Any = registry().get("architecture", arch)
    recipe = architecture.recipe
    plan = some_campaign.write(tmp_path)
    text = plan.read_text().replace("epochs = 4\nbatch_size = 16", f'arch = "{arch}"')
    plan.write_text(text[: text.index("[training.cgcnn]")] + text[text.index("[[stages]]") :])
    head: Any = registry().get("head", architecture.head)
    asked = Request(ScreenOptions(arch=arch))
    for made in (one_step(asked), reading.read(plan, (), ScreenOptions())):
        trained = training_plan(made, 0, "", (), "").options
        suits = recipe_of(architecture, head) | {"batch_size": None}  # its own, and less of it for few structures
        assert {name: getattr(trained, name) for name in suits} == suits
    said = one_step(Request(ScreenOptions(arch=arch, epochs=7, lr=0.0, batch_size=9)))
    trained = training_plan(said, 0, "", (), "").options
    assert (trained.epochs, trained.lr, trained.batch_size) == (7, 0.0, 9)
    assert trained.loss == recipe.loss


def test_config_toml_asks_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture and a featurizer of one name keep their tables apart; flags of both arrive in the training."""
    monkeypatch.chdir(tmp_path)
    known = np.arange(42) < 30
    column = Column(small_cache.ENERGY, np.where(known, -1.0, np.nan), known)
    small_cache.write(tmp_path / "graphs.h5", columns=[column])
    asked: list[Request] = []
    monkeypatch.setattr(life, "describe", lambda _w, request, _h: asked.append(request) or _stop())
    flags = ["--ensemble", "3", "--n-conv", "2", "--gaussian-step", "0.4", "--lr", "0.25", "--pictures", "svg"]
    assert crystal(["screen", *flags, "--dry-run"]) == 75
    parts = {option: chosen.options for option, chosen in asked[0].parts.items()}
    assert (parts["arch"]["n_conv"], parts["featurizer"]["gaussian_step"]) == (2, 0.4)
    (tmp_path / "config.toml").write_text(tomli_w.dumps(run_record.table(SCREEN, asked[0])))
    assert crystal(["screen", "-c", "config.toml", "--dry-run"]) == 75
    assert asked[1].to_json() == asked[0].to_json()
    assert tomllib.loads((tmp_path / "config.toml").read_text())["screen"]["epochs"] == asked[0].options.epochs


def _stop() -> None:
    raise Stopped("enough")


def test_options_of_two_parts_of_one_name_differ_apart() -> None:
    def asked(width: int, step: float) -> Request:
        parts = {"architecture": Chosen("a", {"width": width}), "featurizer": Chosen("a", {"width": step})}
        return Request(ScreenOptions(), parts)

    assert asked(1, 2.0).differs(asked(3, 2.0), frozenset()) == ["architecture-a.width"]
    assert asked(1, 2.0).differs(asked(1, 4.0), frozenset()) == ["featurizer-a.width"]


def test_a_campaign_has_a_folder_of_its_name_and_is_resumed_with_its_commands_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = COMMAND.format(program="sh", script="script.sh")
    some_campaign.write(tmp_path, stages=stages).rename("cheap.toml")
    monkeypatch.setattr(Screening, "do", lambda _self, run: _stop() or {"run": run})
    assert crystal(["screen", "--campaign", "cheap.toml"]) == 75
    assert "cheap.toml: command of 'script': sh script.sh {input} {output}" in capfd.readouterr().out
    assert (tmp_path / "runs" / "cheap" / "run.json").is_file()
    assert crystal(["screen", "--resume", "runs/cheap"]) == 75
    assert "cheap.toml: command of 'script': sh script.sh {input} {output}" in capfd.readouterr().out
    assert crystal(["screen", "--campaign", "cheap.toml"]) == 75  # goes on: no other folder, nothing refused
    assert [p.name for p in (tmp_path / "runs").iterdir() if p.is_dir()] == ["cheap"]


@pytest.mark.parametrize("talks", [True, False])
def test_what_a_workflow_says_is_for_a_terminal_where_it_talks(talks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(Face, "console", lambda _self: Console(file=written, force_terminal=True))
    values = {"json": False, "quiet": False}
    invocation = Invocation(replace(SCREEN, talks=talks), None, values)  # type: ignore[arg-type]
    with invocation._reporter() as reporter:
        reporter.say("put results into outside/dft")
    assert ("put results into outside/dft" in written.getvalue()) == talks


REFUSED: dict[str, tuple[Callable[[Path], dict[str, object]], str]] = {
    "scheduler": (lambda _: {"scheduler": "tcp://x"}, "--scheduler: for the relaxations of a --campaign"),
    "jobs": (
        lambda m: {"model": m, "candidates": ("a.cif",), "jobs": 2},
        "--jobs: for the relaxations of a --campaign",
    ),
    "training": (
        lambda m: {"model": m, "candidates": ("a.cif",), "arch": "lcgcn", "epochs": 5, "lr": 0.0},
        "--arch, --epochs, --lr: for an ensemble that is to be trained, and --model is",
    ),
    "label": (
        lambda m: {"model": m, "candidates": ("a.cif",), "reference_label": "e"},
        "--reference-label says what --references call their energy, and there are none",
    ),
    "candidates": (lambda m: {"model": m}, "which candidates"),
    "pictures": (lambda _: {"pictures": "jpg"}, "no format 'jpg'"),
    "mixed": (
        lambda m: {"model": m, "candidates": (str(m.parent / "graphs.h5"), "a.cif")},
        "either graph caches or structure files",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_screened_is_refused_first(name: str, model: Path, tmp_path: Path) -> None:
    options, said = REFUSED[name]
    with pytest.raises(UsageError, match=said):
        screened(tmp_path / "run", **options(model))
    assert not (tmp_path / "run").exists()


def test_candidates_of_a_campaign_may_be_caches(tmp_path: Path) -> None:
    """They are what their graphs were made of."""
    plan = some_campaign.write(
        tmp_path,
        head="train = 10",
        references="[references]\n"
        + "".join(f"{e} = 0.0\n" for e in ("Na", "K", "Li", "Mg", "Ca", "Cl", "F", "O", "Br")),
    )
    cache = small_cache.write(tmp_path / "some.h5", 14)
    work = Screening(Request(ScreenOptions(candidates=(str(cache),), campaign=plan), path=tmp_path / "run"), Host())
    structures = [work.found.candidates.structure(i) for i in work.found.candidates.amounts]
    assert len(structures) == 14
    for one, atoms in zip(structures, small_cache.crystals(14), strict=True):
        np.testing.assert_allclose(one.atoms.positions, atoms.positions, atol=1e-12)
        assert one.atoms.get_chemical_symbols() == atoms.get_chemical_symbols()
        assert work.found.candidates.amounts[one.id] == one.amounts
