"""Campaigns with a model as the calculator of a stage, and with elements that go through the stages."""

import json
from dataclasses import replace
from pathlib import Path

import ase.build
import ase.io
import pytest
from common import some_campaign
from reference.some_potentials import model_of
from screen.test_campaign import do, rows

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model import model_file
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.systems import Systems
from crystalcli.screen.stage_results import Result
from crystalcli.vocabulary.errors import UsageError

STAGES = """
[[stages]]
name = "model"
cost = 1
potential = "{folder}/potential"
cell = "isotropic"
smax = 1.0
fmax = 1.0
steps = 3
learn = "difference"

[[stages]]
name = "emt"
cost = 99
potential = "emt"
fmax = 0.3
steps = 20
"""


def save_potential(folder: Path, mean: float) -> Path:
    """A potential of copper and palladium as a finished training leaves it: a folder with a model."""
    spec = model_of().spec
    scales = {"energy": 0.2, "forces": 0.7}
    statistics = Statistics(40.0, (29, 46), {"energy": mean}, scales, (), (-3.0, -5.0))
    (folder / "potential").mkdir(exist_ok=True)
    model_file.save(folder / "potential" / "model.safetensors", CrystalModel(replace(spec, statistics=statistics)), {})
    return folder / "potential"


def pure(path: Path) -> None:
    made = [ase.build.bulk("Cu", "fcc", a=3.7), ase.build.bulk("Pd", "fcc", a=4.0)]
    for atoms in made:
        atoms.info["id"] = str(atoms.symbols)
    some_campaign.candidates(path, made)


def journaled(run: Path, task: str) -> dict[str, Result]:
    lines = (run / "work" / f"{task}.jsonl").read_text().splitlines()
    found = [Result.from_json(one) for line in lines for one in json.loads(line.partition(" ")[2])["result"]]
    return {r.id: r for r in found}


def test_a_model_does_a_stage_and_the_difference_is_counted_from_its_own_elements(tmp_path: Path) -> None:
    potential = save_potential(tmp_path, 0.1)
    pure(tmp_path / "elements.extxyz")
    references = f'[references]\nAg = 0.0\nelements = "{tmp_path}/elements.extxyz"\n'
    plan = some_campaign.write(
        tmp_path,
        stages=STAGES.format(folder=tmp_path),
        references=references,
        head='train = 12\nthreshold = "0.5sigma"',
    )
    unknown = ase.build.bulk("CuAg", "rocksalt", a=5.5)
    unknown.info["id"] = "unknown"
    candidates = [*ase.io.read(tmp_path / "candidates.extxyz", ":"), unknown]
    some_campaign.candidates(tmp_path / "candidates.extxyz", candidates)
    assert do(plan, tmp_path / "run")["exit_code"] == 3
    kept = journaled(tmp_path / "run", "1-model-all")
    lost = kept.pop("unknown")
    assert (lost.atoms, lost.energy) == (None, None)
    mine = named(str(potential), device="cpu")
    for one in kept.values():
        assert one.energy == pytest.approx(float(mine.evaluate(Systems.of([one.atoms])).energy), rel=1e-9)
    cu, pd = (journaled(tmp_path / "run", "1-model-elements")[f"element {s}"].energy for s in ("Cu", "Pd"))
    labels = model_file.load(tmp_path / "run" / "models" / "1-model" / "model.safetensors")[0].spec.targets
    assert labels[0].name == "formation_energy_difference_per_atom"
    log = (tmp_path / "run" / "log.txt").read_text()
    assert f"elements after model: Ag 0.000000, Cu {cu:.6f}, Pd {pd:.6f} eV/atom" in log
    assert cu < -2.0  # the model's own, far from those of EMT
    (row,) = (r for r in rows(tmp_path / "run") if r["id"] == "unknown")
    assert "model: element: Ag not in the training of" in row["problems"]
    assert row["E_f [eV/atom]"]  # an element that the model does not know is no reason to drop a candidate
    save_potential(tmp_path, 0.2)
    with pytest.raises(UsageError, match="is not the file that this run was started with"):
        do(plan, tmp_path / "run")


def test_a_replay_finds_elements_under_their_own_names(tmp_path: Path) -> None:
    """Files hold them as ``Cu``; beside candidates they are called ``element Cu``."""
    pure(tmp_path / "elements.extxyz")
    references = f'[references]\nelements = "{tmp_path}/elements.extxyz"\n'
    stages = "".join(
        f'[[stages]]\nname = "{name}"\ncost = {cost}\nfile = "{tmp_path}/all.extxyz"\n'
        for name, cost in (("early", 1), ("late", 9))
    )
    plan = some_campaign.write(tmp_path, stages=stages, references=references)
    every = [*ase.io.read(tmp_path / "candidates.extxyz", ":"), *ase.io.read(tmp_path / "elements.extxyz", ":")]
    for k, atoms in enumerate(every):
        atoms.info["energy"] = -2.0 * len(atoms) - 0.01 * k
    ase.io.write(tmp_path / "all.extxyz", every, columns=["symbols", "positions"])
    said: list[str] = []
    report = do(plan, tmp_path / "run", said=said)
    assert report["problems"] == 0
    assert not [line for line in said if "missing" in line]
    assert "elements after late: Cu -2.240000, Pd -2.250000 eV/atom" in said


def test_a_stage_whose_potential_cannot_work_is_named(tmp_path: Path) -> None:
    plan = some_campaign.write(tmp_path, stages=STAGES.format(folder=tmp_path))
    (tmp_path / "potential").mkdir()
    with pytest.raises(UsageError, match=r"stage 'model': is a folder without a model\.safetensors"):
        do(plan, tmp_path / "run")
