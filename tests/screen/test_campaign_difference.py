"""Campaigns whose ensembles learn what is between the energies of a stage and the final ones."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT
from common import some_campaign
from screen.test_campaign import COMMAND, OUTSIDE, asked, do, results, rows

from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.model import model_file
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.screen import candidates, ensembles, inputs, reading
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.rule import Candidate
from crystalcli.screen.stage_results import Result, Structure, extxyz, read_structures, with_energy, without_need
from crystalcli.screen.state import CampaignState
from crystalcli.screen.workflow import SCREEN
from crystalcli.vocabulary.errors import RefusedLate, UsageError

TWO_FILES = """
[[stages]]
name = "early"
cost = 1
file = "{folder}/early.extxyz"
{early}

[[stages]]
name = "late"
cost = 9
file = "{folder}/late.extxyz"
energy = "e"
formation = true
"""
EARLY_FORMATION = 'energy = "e"\nformation = true'


def final_energies(n: int) -> list[float]:
    """Of nothing but chance: no model learns them."""
    return np.random.default_rng(1).normal(-0.1, 0.1, n).tolist()


def two_files(
    folder: Path,
    early: Callable[[int, Structure, float], float],
    *,
    head: str,
    training: str,
    stage: str = EARLY_FORMATION,
) -> Path:
    """A plan of two stages in files; ``early(k, item, e)`` is what the first has of structure k with final energy e."""
    structures = some_campaign.alloys(40)
    items = [Structure(a.info["id"], a) for a in structures]
    final = final_energies(len(items))
    first = [early(k, i, e) for k, (i, e) in enumerate(zip(items, final, strict=True))]
    key = "e" if "formation" in stage else "energy"
    (folder / "early.extxyz").write_text(extxyz(items, first, key=key))
    (folder / "late.extxyz").write_text(extxyz(items, final, key="e"))
    plan = some_campaign.write(folder, 40, head=head, stages=TWO_FILES.format(folder=folder, early=stage))
    plan.write_text(plan.read_text().replace("[training]", f"[training]\n{training}"))
    return plan


def test_beside_energies_of_zero_a_difference_is_the_energy(tmp_path: Path) -> None:
    """Another word for the same training: the same bits in every table."""
    said = []
    for learn in ("energy", "difference"):
        (tmp_path / learn).mkdir()
        plan = two_files(
            tmp_path / learn, lambda *_: 0.0, head="train = 16\nkappas = [0, 1, 2]", training=f'learn = "{learn}"'
        )
        report = do(plan, tmp_path / learn / "run")
        text = (tmp_path / learn / "run" / "screening.csv").read_text()
        said.append((text.replace("difference_per", "per"), report["sweep"], report["predictions"], report["cost"]))
    assert said[0] == said[1]
    assert said[0][2][0]["mae"] > 0.03  # chance is not learned


@pytest.mark.parametrize("way", ["random", "uncertainty"])
def test_a_stage_that_is_off_by_a_known_function_predicts_the_final_energies(tmp_path: Path, way: str) -> None:
    """Totals of another calculator, off by a constant per element: no energy can be learned, the difference can."""
    elements, other = {"Cu": -0.007, "Pd": 0.0}, {"Cu": -3.0, "Pd": -5.5}

    def total(_k: int, item: Structure, e: float) -> float:
        return e * len(item.atoms) + sum(n * (elements[s] + other[s]) for s, n in item.amounts.items())

    plan = two_files(
        tmp_path,
        total,
        head=f'train = 24\nselection = "{way}"\nrounds = 2\nkappas = [0, 2]',
        training='learn = "difference"\nresidual_of = "elements"',
        stage="",
    )
    report = do(plan, tmp_path / "run")
    (found,) = report["predictions"]
    assert found["mae"] < 2e-3  # the ridge on compositions holds back a little of constants of some eV
    assert found["sigma"] < 5e-3
    assert report["recall"]["missed"] == []
    assert report["sweep"][-1]["share"] < 0.75


def test_a_prediction_is_the_energy_of_the_stage_and_what_the_ensemble_adds(tmp_path: Path) -> None:
    """EMT itself for the one, the ensemble asked alone for the other; and the same bytes after journals were cut."""
    plan = some_campaign.write(tmp_path, head='train = 12\nthreshold = "1sigma"')
    plan.write_text(plan.read_text().replace('name = "volume"', 'name = "volume"\nlearn = "difference"'))
    run = tmp_path / "run"
    do(plan, run)
    kept = dict(relaxed(run, "1-volume-all"))
    (tmp_path / "stage.extxyz").write_text(extxyz([Structure(i, a) for i, a in kept.items()]))
    build(BuildPlan((str(tmp_path / "stage.extxyz"),), tmp_path / "stage.h5", "cgcnn", targets=("none",)))
    model, _ = model_file.load(run / "models" / "1-volume" / "model.safetensors")
    assert [q.name for q in model.spec.targets] == ["formation_energy_difference_per_atom"]
    one = ScreenOptions(candidates=(str(tmp_path / "stage.h5"),), model=run / "models" / "1-volume")
    with pytest.raises(UsageError, match="predicts what a stage of a campaign adds to its energies"):
        life.run(SCREEN, Request(one, path=tmp_path / "one"))
    said = Predictor(run / "models" / "1-volume", allow_unseen=True).predict([str(tmp_path / "stage.h5")])
    added = {row.id: row for row in said if isinstance(row, Row)}
    table = [r for r in rows(run) if r["volume E_f [eV/atom]"]]
    assert len(table) == 12
    for row in table:
        atoms = kept[row["id"]]
        atoms.calc = EMT()
        mine = (atoms.get_potential_energy() + 0.007 * atoms.get_chemical_symbols().count("Cu")) / len(atoms)
        name, found = "formation_energy_difference_per_atom", added[row["id"]]
        assert float(row["volume E_f [eV/atom]"]) == pytest.approx(mine + found.values[name], abs=3e-6)
        assert float(row["volume sigma [eV/atom]"]) == pytest.approx(found.uncertainties[name]["sigma"], abs=3e-6)
    loose, _ = model_file.load(run / "models" / "2-loose" / "model.safetensors")
    assert [q.name for q in loose.spec.targets] == ["formation_energy_per_atom"]  # the plan's own, asked for one stage
    again = tmp_path / "again"
    shutil.copytree(run, again)
    record = json.loads((again / "run.json").read_text())
    (again / "run.json").write_text(json.dumps(record | {"exit_code": None, "finished": False}))
    for journal in (again / "work").iterdir():
        journal.write_bytes(journal.read_bytes()[:-9])
    do(plan, again)
    assert results(again) == results(run)


def relaxed(run: Path, task: str):
    """Structures in the journal of a task."""
    for line in (run / "work" / f"{task}.jsonl").read_text().splitlines():
        for one in json.loads(line.partition(" ")[2])["result"]:
            result = Result.from_json(one)
            yield result.id, result.atoms


def test_what_is_added_to_a_difference_is_added_to_what_each_member_says() -> None:
    """Members that are not moved with their mean would all be off the hull, or all on it."""
    said = Candidate("x", {"Cu": 1.0}, 0.25, 0.1, 0.125, (0.125, 0.375), "odd", "scale")
    found = ensembles._added(said, -1.0)
    assert (found.energy, found.members) == (-0.75, (-0.875, -0.625))
    assert replace(found, energy=said.energy, members=said.members) == said


def test_elements_are_counted_from_at_their_own_stage(tmp_path: Path) -> None:
    """Relaxed elements where there are any; the last stage's number where not."""
    plan = reading.read(some_campaign.write(tmp_path), (), ScreenOptions())
    (alloy, *_), _ = read_structures([tmp_path / "candidates.extxyz"])
    copper = Structure("element Cu", some_campaign.alloys(1)[0][:2])
    copper.atoms.symbols = "Cu2"
    start = inputs.Inputs(candidates.FromFiles([alloy], {}, ()), [copper])
    state = CampaignState(plan, tmp_path, start)
    for stage, energy in enumerate((-6.0, -7.0, -7.2)):
        state.results[stage] = {
            copper.id: Result(copper.id, atoms=copper.atoms, energy=energy),
            alloy.id: Result(alloy.id, atoms=alloy.atoms, energy=-10.0),
        }
    assert [state.elements(k) for k in range(3)] == [{"Cu": e, "Pd": 0.0} for e in (-3.0, -3.5, -3.6)]
    n, cu = len(alloy.atoms), alloy.amounts["Cu"]
    assert state.formation(0, [alloy.id, "nobody"]) == {alloy.id: pytest.approx((-10.0 + 3.0 * cu) / n)}
    assert state.final([alloy.id]) == {alloy.id: pytest.approx((-10.0 + 3.6 * cu) / n)}


def test_a_candidate_without_an_energy_at_the_stage_is_kept(tmp_path: Path) -> None:
    plan = two_files(
        tmp_path,
        lambda k, _i, e: e + 0.01 * k,
        head='train = 16\nthreshold = "0sigma"',
        training='learn = "difference"',
    )
    path = tmp_path / "early.extxyz"
    frames = path.read_text().split("pbc=")
    path.write_text("pbc=".join(f.replace(" e=", " lost=") if k % 4 == 0 else f for k, f in enumerate(frames)))
    report = do(plan, tmp_path / "run")
    lost = [r for r in rows(tmp_path / "run") if r["early extrapolating"] == "energy: came back without 'e'"]
    assert lost
    assert all("early: energy: came back without 'e'" in r["problems"] for r in lost)
    assert all(r["outcome"] == "fully relaxed" and r["early reason"].startswith("no prediction: kept") for r in lost)
    assert report["fully_relaxed"] < 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('early.extxyz"\nenergy = "e"', 'early.extxyz"\nenergy = "f"'), "stage 'early': no structure has 'f'; name"),
        (('late.extxyz"\nenergy = "e"', 'late.extxyz"\nenergy = "f"'), "stage 'late': no structure has 'f'; name"),
        (
            ('name = "late"', 'name = "late"\nlearn = "energy"'),
            "stage 'late' is the last: no ensemble .* leave out learn",
        ),
        (('name = "late"', 'name = "late"\nfrom = "m"'), "stage 'late' is the last: no ensemble .* leave out from"),
        (('name = "early"', 'name = "early"\nlearn = "delta"'), "option learn of stage 'early' cannot be 'delta'"),
        (
            ('file = "{folder}/early.extxyz"\nenergy = "e"\nformation = true', "given = true"),
            "gives no energies to learn",
        ),
        (
            ('early.extxyz"\nenergy = "e"\nformation = true', 'early.extxyz"\nenergy = "e"'),
            r"\[references\] says nothing of",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    plan = two_files(tmp_path, lambda *_: 0.0, head="train = 16", training='learn = "difference"')
    old, new = (t.replace("{folder}", str(tmp_path)) for t in change)
    text = plan.read_text().replace("Cu = -0.007", "")
    assert old in text
    plan.write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError, match=said):
        do(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_there_is_no_difference_energies_are_learned(tmp_path: Path) -> None:
    """Seen when all was paid for: said, and then the same as if energies had been asked for; a model of those is not
    gone on with for differences.
    """
    plan = two_files(tmp_path, lambda _k, _i, e: e + 0.25, head="train = 16", training='learn = "difference"')
    said: list[str] = []
    do(plan, tmp_path / "run", said=said)
    assert (
        "1-early: stage 'early' has the final energies already, up to a constant: there is no difference to learn; it "
        "learns the final energies" in said
    )
    plan.write_text(plan.read_text().replace('learn = "difference"', ""))
    do(plan, tmp_path / "energies")
    assert rows(tmp_path / "run") == rows(tmp_path / "energies")
    model = tmp_path / "energies" / "models" / "1-early"
    plan.write_text(
        plan.read_text().replace('name = "early"', f'name = "early"\nlearn = "difference"\nfrom = "{model}"')
    )
    with pytest.raises(
        UsageError, match="predicts formation_energy_per_atom; stage 'early' learns formation_energy_diff"
    ):
        do(plan, tmp_path / "other")
    assert not (tmp_path / "other").exists()


SINGLE_POINT = some_campaign.STAGES.replace("fmax = 0.05", "steps = 0").replace("\nsteps = 60", "")


@pytest.mark.parametrize(
    ("stages", "refused"),
    [
        (SINGLE_POINT, True),
        (SINGLE_POINT.replace('"loose"\n', '"loose"\ndtype = "float32"\n'), False),
        (some_campaign.STAGES, False),
        (TWO_FILES.format(folder="x", early=EARLY_FORMATION).replace("early.ext", "late.ext"), True),
        (TWO_FILES.format(folder="x", early=EARLY_FORMATION), False),
        (TWO_FILES.format(folder="x", early='energy = "other"').replace("early.ext", "late.ext"), False),
    ],
)
def test_a_plan_that_says_that_there_is_no_difference_is_refused_before_anything_is_paid(
    stages: str, refused: bool, tmp_path: Path
) -> None:
    plan = some_campaign.write(tmp_path, stages=stages)
    plan.write_text(plan.read_text().replace("[training]", '[training]\nlearn = "difference"'))
    if refused:
        with pytest.raises(UsageError, match=r"has the final energies already, those of '.*': there is no difference"):
            reading.read(plan, (), ScreenOptions())
    else:
        reading.read(plan, (), ScreenOptions())


COUNTING = """
echo called >> {folder}/calls.txt
sed -e 's/pbc=/energy=-1.5 pbc=/' "$1" > "$2"
"""


def paid(tmp_path: Path, **more: str) -> tuple[Path, Callable[[], int]]:
    """A plan of a command that leaves a line for every call, and how many there were."""
    (tmp_path / "script.sh").write_text(COUNTING.format(folder=tmp_path))
    stages = COMMAND.format(program="sh", script=tmp_path / "script.sh").replace("batch = 3", "batch = 1")
    plan = some_campaign.write(tmp_path, stages=stages, **more)
    plan.write_text(plan.read_text().replace("epochs = 4", "epochs = 2"))
    return plan, lambda: len((tmp_path / "calls.txt").read_text().splitlines())


def test_after_a_late_refusal_another_training_uses_what_was_paid_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same folder, by the same command."""
    plan, calls = paid(tmp_path)
    text = plan.read_text()
    plan.write_text(text.replace("width = 8", "width = 4"))

    def refuse(request: Request, *_: object, **_more: object) -> Path:
        (request.path / "half").mkdir(parents=True)
        raise UsageError("cannot be trained")

    with monkeypatch.context() as patch:
        patch.setattr(ensembles, "trained_ensemble", refuse)
        with pytest.raises(RefusedLate, match="cannot be trained"):
            do(plan, tmp_path / "run")
    assert calls() == 12
    plan.write_text(text)
    said: list[str] = []
    do(plan, tmp_path / "run", said=said)
    assert "2-script-train: 12 of 12 pieces of work were finished before" in said
    reached = sum(bool(r["E_f [eV/atom]"]) for r in rows(tmp_path / "run"))
    assert calls() == reached
    assert not (tmp_path / "run" / "models" / "1-start" / "half").exists()  # of another training
    fresh = tmp_path / "fresh"
    do(plan, fresh)
    assert rows(fresh) == rows(tmp_path / "run")


def test_a_run_of_another_training_takes_the_results_of_this_one(tmp_path: Path) -> None:
    """What differs is refused in the folder, and the refusal says how to go on; other stages are not taken."""
    plan, calls = paid(tmp_path, head='train = 12\nthreshold = "9sigma"')
    do(plan, tmp_path / "run")
    assert calls() == 24
    text = plan.read_text()
    plan.write_text(text.replace("epochs = 2", "epochs = 1").replace("train = 12", "train = 11"))
    with pytest.raises(UsageError, match=rf"started with; another -o FOLDER with --results-of {tmp_path}/run takes"):
        do(plan, tmp_path / "run")
    life.run(SCREEN, asked(plan, tmp_path / "other", results_of=tmp_path / "run"))
    assert calls() == 24
    plan.write_text(text.replace("timeout", 'energy = "e"\ntimeout'))
    with pytest.raises(UsageError, match="0 structures with a final energy are too few"):
        life.run(SCREEN, asked(plan, tmp_path / "third", results_of=tmp_path / "run"))
    assert calls() == 36
    with pytest.raises(UsageError, match=r"work: holds no results of stages"):
        life.run(SCREEN, asked(plan, tmp_path / "fourth", results_of=tmp_path / "run" / "work"))


def test_an_energy_that_was_needed_is_no_problem_where_it_is_not() -> None:
    lost = with_energy(Result("a", atoms=some_campaign.alloys(1)[0]), "energy")
    assert lost.problem == "energy: came back without 'energy'"
    assert without_need(lost).problem == ""
    assert without_need(Result("a", "command", "exit code 1")).problem == "command: exit code 1"


def test_results_of_others_without_energies_are_said(tmp_path: Path) -> None:
    """A command's is a problem of its structure; outside it is said before anything is taken."""
    (tmp_path / "script.sh").write_text('cp "$1" "$2"')
    stages = COMMAND.format(program="sh", script=tmp_path / "script.sh").replace("batch = 3", "batch = 24")
    plan = some_campaign.write(tmp_path, stages=stages)
    said: list[str] = []
    with pytest.raises(UsageError, match="0 structures with a final energy are too few"):
        do(plan, tmp_path / "run", said=said)
    assert "came back without 'energy'" in "".join(said)
    (tmp_path / "done").mkdir()
    shutil.copy(tmp_path / "candidates.extxyz", tmp_path / "done" / "all.extxyz")
    plan = some_campaign.write(tmp_path, stages=f'{OUTSIDE}results = "{tmp_path / "done"}"\n')
    with pytest.raises(UsageError, match="no result of stage 'dft' has 'energy'; write it"):
        do(plan, tmp_path / "out")
    assert not (tmp_path / "out" / "work" / "2-dft-train.jsonl").exists()
