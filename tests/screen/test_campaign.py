"""Campaigns from candidates to the hull: relaxed here, killed, by a command, from outside, replayed."""

import csv
import io
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.emt import EMT
from common import some_campaign
from common.failing_writes import killed_after

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.sections import Plot
from crystalcli.engine.host import life
from crystalcli.engine.report.run_files import RunFiles
from crystalcli.engine.run import progress
from crystalcli.screen.hull import Phase, distances
from crystalcli.screen.options import Commanded, Outside, ScreenOptions, Settings
from crystalcli.screen.outside import CommandWorker, OutsideWorker
from crystalcli.screen.plan import StagePlan
from crystalcli.screen.rule import stage_costs
from crystalcli.screen.run import Screening
from crystalcli.screen.stage_results import Result, Structure, extxyz, formation_energy, misfit, read_structures
from crystalcli.screen.workflow import SCREEN
from crystalcli.vocabulary.errors import Stopped, UsageError

RESULTS = (
    "screening.csv",
    "survivors.txt",
    "phases.csv",
    "stages.csv",
    "relaxed.extxyz",
    "report.json",
    "hull-Cu-Pd.png",
)


def do(plan: Path, output: Path, *, said: list[str] | None = None) -> dict:
    heard = said if said is not None else []
    return dict(life.run(SCREEN, asked(plan, output), Host(heard.append, heard.append)).data)


def asked(plan: Path, output: Path, **more: Any) -> Request:
    return Request(ScreenOptions(campaign=plan, threads=1, **more), path=output)


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "screening.csv").open() as file:
        return list(csv.DictReader(file))


def results(run: Path) -> dict[str, bytes]:
    """All that a campaign says, without the name of its folder."""
    return {n: (run / n).read_bytes().replace(str(run).encode(), b"") for n in RESULTS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a plan and its finished run."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("campaign")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "SILENCE", 0.0)
        do(some_campaign.write(folder, head='train = 12\nthreshold = "0.1sigma"'), folder / "run", said=said)
    (folder / "said.txt").write_text("\n".join(said))
    return folder


def test_the_training_of_an_ensemble_is_heard(finished: Path) -> None:
    said = [line[20:] for line in (finished / "run" / "log.txt").read_text().splitlines()]  # without the time
    named = {line.split(": ")[0] for line in said if ": ensemble of " in line}
    last = {line.split(": ")[0] for line in said if "epoch" in line and line.endswith(", about 0 s left")}
    assert named
    assert last == named


def test_every_candidate_has_an_end_and_the_costs_add_up(finished: Path) -> None:
    report = json.loads((finished / "run" / "report.json").read_text())
    table = rows(finished / "run")
    assert {r["id"] for r in table} == {f"alloy {k}" for k in range(24)}
    assert sum(r["outcome"] == "trained on" for r in table) == 12
    counts = [s["screened"] for s in report["stages"]]
    assert 12 == counts[0] > counts[2] > 0
    assert report["cost"] == pytest.approx(stage_costs(counts, [5, 60, 540], 12))
    for k, name in enumerate(("volume", "loose")):
        assert sum(r["outcome"] == f"removed after {name}" for r in table) == counts[k] - counts[k + 1]
        assert sum(bool(r[f"{name} reason"]) for r in table) == counts[k]
    with (finished / "run" / "stages.csv").open() as file:
        paid = sum(float(r["cost"]) for r in csv.DictReader(file))
    assert paid / 605 == pytest.approx(report["cost"])


def test_candidates_are_counted_once(finished: Path) -> None:
    """Those trained on are no known phases and none that were kept; the page, the tables and the report agree."""
    run = finished / "run"
    report, table = json.loads((run / "report.json").read_text()), rows(run)
    assert report["references"] == 0 == len((run / "phases.csv").read_text().splitlines()) - 1
    assert report["fully_relaxed"] == sum(bool(r["E_f [eV/atom]"]) for r in table)
    kept, removed = len((run / "survivors.txt").read_text().splitlines()), report["removed"]
    assert kept + removed + 12 == 24
    numbers, *blocks = SCREEN.sections(RunFiles(run))[0].blocks
    cards = {c.said: c for c in numbers.cards}
    assert (cards["kept"].value, cards["kept"].beside) == (str(kept), f"{removed} removed, 12 trained on")
    assert cards["known phases"].value == "0"
    assert cards["on the hull"].value == str(len(report["hull"]))
    (plot,) = [b for b in blocks if isinstance(b, Plot)]  # by what was decided, which final distances were not
    drawn = {i: y for one in plot.series for i, y in zip(one.ids, one.y, strict=True)}
    decided = {r["id"]: r["loose E_hull [eV/atom]"] or r["volume E_hull [eV/atom]"] for r in table}
    assert drawn == pytest.approx({i: 1e3 * float(e) for i, e in decided.items() if e})


def test_final_energies_are_those_of_the_relaxed_structures(finished: Path) -> None:
    """Formation energies by ASE itself; the hull by the hull of what was relaxed."""
    energies = {"Cu": -0.007, "Pd": 0.0}
    table = {r["id"]: r for r in rows(finished / "run") if r["E_f [eV/atom]"]}
    relaxed = ase.io.read(finished / "run" / "relaxed.extxyz", ":")
    assert {a.info["id"] for a in relaxed} == set(table)
    phases = []
    for atoms in relaxed:
        said = atoms.info["formation_energy_per_atom"]
        atoms.calc = EMT()
        expected = (atoms.get_potential_energy() - sum(energies[s] for s in atoms.get_chemical_symbols())) / len(atoms)
        assert said == pytest.approx(expected, abs=1e-9)
        assert float(table[atoms.info["id"]]["E_f [eV/atom]"]) == pytest.approx(expected, abs=1e-6)
        phases.append(Phase(Structure("", atoms).amounts, said, atoms.info["id"]))
    for phase, found in zip(phases, distances(phases, [True] * len(phases), []), strict=True):
        assert float(table[phase.name]["E_hull [eV/atom]"]) == pytest.approx(found.above, abs=1e-6)


def test_every_stage_starts_from_its_own_ensemble(finished: Path, tmp_path: Path) -> None:
    """With a learning rate of 0 it predicts what that ensemble does, whatever structures it is trained on."""
    models = finished / "run" / "models"
    plan = some_campaign.write(tmp_path, head='train = 12\nthreshold = "9sigma"\nseed = 1')
    text = plan.read_text().replace("epochs = 4", "epochs = 1\nlr = 0.0")
    for name, model in (("volume", "1-volume"), ("loose", "2-loose")):
        text = text.replace(f'name = "{name}"', f'name = "{name}"\nfrom = "{models / model}"')
    plan.write_text(text)
    do(plan, tmp_path / "run")
    before, after = ({r["id"]: r for r in rows(run)} for run in (finished / "run", tmp_path / "run"))
    for stage in ("volume", "loose"):
        column = f"{stage} E_f [eV/atom]"
        both = [i for i in before if before[i][column] and after[i][column]]
        assert len(both) > 1
        expected = [float(before[i][column]) for i in both]
        assert [float(after[i][column]) for i in both] == pytest.approx(expected, abs=2e-6)
        assert np.ptp(expected) > 1e-4  # not one number for all


def test_options_that_are_not_those_of_the_source_are_refused(finished: Path, tmp_path: Path) -> None:
    source = finished / "run" / "models" / "1-volume"
    plan = some_campaign.write(tmp_path)
    text = plan.read_text().replace('name = "volume"', f'name = "volume"\nfrom = "{source}"')
    plan.write_text(text.replace("width = 8", "width = 9"))
    with pytest.raises(UsageError, match="was trained with width = 8, not 9"):
        do(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_same_command_again_does_nothing_and_another_plan_is_refused(finished: Path, tmp_path: Path) -> None:
    before = results(finished / "run")
    said: list[str] = []
    do(finished / "plan.toml", finished / "run", said=said)
    assert "finished before; nothing to do" in said[-1]
    assert results(finished / "run") == before
    with pytest.raises(UsageError, match=r"plan.toml: is not the file that this run was started with"):
        changed(
            finished / "plan.toml", "train = 12", "train = 11", lambda: do(finished / "plan.toml", finished / "run")
        )
    other = tmp_path / "other.toml"
    other.write_text((finished / "plan.toml").read_text().replace("train = 12", "train = 11"))
    with pytest.raises(UsageError, match=r"holds another run of screen \(campaign differ\)"):
        do(other, finished / "run")


def changed(path: Path, old: str, new: str, act: Callable[[], object]) -> None:
    """``act`` while the file at ``path`` is another one."""
    text = path.read_text()
    try:
        path.write_text(text.replace(old, new, 1))
        act()
    finally:
        path.write_text(text)


def test_changed_candidates_are_refused(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    with pytest.raises(UsageError, match=r"candidates.extxyz: is not the file that this run was started with"):
        changed(finished / "candidates.extxyz", "Pd", "Cu", lambda: do(finished / "plan.toml", tmp_path / "run"))


def killed(plan: Path, output: Path, after: float) -> bool:
    return killed_after(after, lambda: do(plan, output))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("points", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_anywhere_it_ends_with_the_same_bytes(finished: Path, tmp_path: Path, points: int) -> None:
    """``kill -9`` at random times of every continuation; then the campaign ends as if nothing had been."""
    rng, output = random.Random(points), tmp_path / "run"
    hits = sum(killed(finished / "plan.toml", output, rng.uniform(0.2, 2.5)) for _ in range(points))
    assert hits
    do(finished / "plan.toml", output)
    assert results(output) == results(finished / "run")


def test_every_line_of_a_journal_is_enough(finished: Path, tmp_path: Path) -> None:
    """Journals cut in the middle of a line, models half gone: only what is missing is done again."""
    run = tmp_path / "run"
    shutil.copytree(finished / "run", run)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"exit_code": None, "finished": False}))
    for name in RESULTS:
        (run / name).unlink()
    for journal in (run / "work").iterdir():
        data = journal.read_bytes()
        journal.write_bytes(data[: len(data) * 2 // 3])
    shutil.rmtree(run / "models" / "2-loose")
    said: list[str] = []
    do(finished / "plan.toml", run, said=said)
    assert any("pieces of work were finished before" in line for line in said)
    assert results(run) == results(finished / "run")


COMMAND = """
[[stages]]
name = "start"
cost = 0
given = true

[[stages]]
name = "script"
cost = 10
command = "{program} {script} {{input}} {{output}}"
batch = 3
timeout = "60s"
"""
SCRIPT = """
grep -q 'alloy 3"' "$1" && { echo licence server is down; exit 3; }
grep -q 'alloy 13"' "$1" && exit 0
sed -e 's/pbc=/energy=-1.5 pbc=/' -e 's/alloy 8"/stranger"/' "$1" > "$2"
"""


def test_a_command_relaxes_and_all_that_goes_wrong_is_said(tmp_path: Path) -> None:
    """A batch that fails, one that writes nothing, a structure left out: kept, flagged, exit code 3."""
    (tmp_path / "script.sh").write_text(SCRIPT)
    stages = COMMAND.format(program="sh", script=tmp_path / "script.sh")
    plan = some_campaign.write(tmp_path, 40, head='train = 24\nthreshold = "100sigma"', stages=stages)
    report = do(plan, tmp_path / "run")
    assert report["exit_code"] == 3
    table = {r["id"]: r for r in rows(tmp_path / "run")}
    assert "exit code 3; licence server is down; see" in table["alloy 3"]["problems"]
    assert "the command ended well and wrote no" in table["alloy 13"]["problems"]
    assert "script: output: is not in" in table["alloy 8"]["problems"]
    bad = [r for r in table.values() if r["problems"]]
    assert len(bad) == report["problems"]
    with (tmp_path / "run" / "stages.csv").open() as file:
        assert [int(r["with problems"]) for r in csv.DictReader(file)] == [0, len(bad)]
    assert all(r["outcome"].startswith("no final energy: kept") and not r["E_f [eV/atom]"] for r in bad)
    good = next(r for r in table.values() if not r["problems"])
    start = {i.id: i for i in read_structures([tmp_path / "candidates.extxyz"])[0]}[good["id"]]
    expected = formation_energy(-1.5, start.amounts, {"Cu": -0.007, "Pd": 0.0})
    assert float(good["E_f [eV/atom]"]) == pytest.approx(expected, abs=1e-6)


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    stages = COMMAND.format(program="sleep 99; echo", script="").replace("60s", "1s").replace("batch = 3", "batch = 24")
    plan = some_campaign.write(tmp_path, stages=stages)
    start = time.monotonic()
    said: list[str] = []
    with pytest.raises(UsageError, match="0 structures with a final energy are too few"):
        do(plan, tmp_path / "run", said=said)
    assert time.monotonic() - start < 30
    assert "took longer than 1s and was ended" in "".join(said)


MENDED = """
echo call >> {log}
grep -q 'alloy 0"' "$1" || test -f {log}.mended || exit 3
sed -e 's/pbc=/energy=-1.5 pbc=/' "$1" > "$2"
"""


def test_calls_in_vain_are_made_again_where_the_screening_came_to_nothing(tmp_path: Path) -> None:
    """What is wrong with a command may be outside the plan; what came of the others is not paid for twice."""
    script, log = tmp_path / "script.sh", tmp_path / "calls"
    script.write_text(MENDED.format(log=log))
    plan = some_campaign.write(tmp_path, 25, head="train = 24", stages=COMMAND.format(program="sh", script=script))
    said: list[str] = []
    with pytest.raises(UsageError, match="3 structures with a final energy are too few"):
        do(plan, tmp_path / "run", said=said)
    assert len(log.read_text().splitlines()) == 8
    assert "nothing came of 7 calls of stage 'script'; once more by the same command" in said
    Path(f"{log}.mended").touch()
    do(plan, tmp_path / "run", said=said)
    assert "2-script-train: 1 of 8 pieces of work were finished before" in said
    assert "2-script-train: 24 structures" in said
    assert not any(r["problems"] for r in rows(tmp_path / "run"))


ONE_FAILS = """
echo call >> {log}
grep -q 'alloy 3"' "$1" && ! test -f {log}.mended && exit 3
sed -e 's/pbc=/energy=-1.5 pbc=/' "$1" > "$2"
"""


def test_calls_in_vain_are_not_taken_from_another_run(tmp_path: Path) -> None:
    script, log = tmp_path / "script.sh", tmp_path / "calls"
    script.write_text(ONE_FAILS.format(log=log))
    head = 'train = 24\nthreshold = "100sigma"'
    plan = some_campaign.write(tmp_path, 30, head=head, stages=COMMAND.format(program="sh", script=script))
    assert do(plan, tmp_path / "run")["problems"] == 3  # of a batch
    calls = len(log.read_text().splitlines())
    Path(f"{log}.mended").touch()
    life.run(SCREEN, asked(plan, tmp_path / "other", results_of=tmp_path / "run"))
    assert len(log.read_text().splitlines()) == calls + 1
    assert not any(r["problems"] for r in rows(tmp_path / "other"))


def test_a_stop_loses_no_command_that_has_ended(tmp_path: Path) -> None:
    """The first of two sleeps when the stop comes, the second has written its result."""
    script = 'grep -q slow {input} && sleep 99; sed -e "s/pbc=/energy=-1.5 pbc=/" {input} > {output}'
    stage = StagePlan("script", 1.0, "command", (script,), Commanded())
    worker = CommandWorker(stage, tmp_path, 2, counted=True)
    ended = tmp_path / "calls" / "script" / "b" / "output.extxyz"

    def stop_if_asked() -> None:
        raise Stopped("enough")

    def reason() -> str:
        return "enough" if ended.exists() and ended.stat().st_size else ""

    run = SimpleNamespace(stop=SimpleNamespace(reason=reason), stop_if_asked=stop_if_asked)
    some = [Structure(name, atoms) for name, atoms in zip(("slow", "fast"), some_campaign.alloys(2), strict=True)]
    done = worker.work("task", iter([("a", some[:1]), ("b", some[1:])]), run)  # type: ignore[arg-type]
    key, results = next(done)
    assert (key, [r.energy for r in results]) == ("b", [-1.5])
    with pytest.raises(Stopped, match="enough"):
        next(done)


OUTSIDE = """
[[stages]]
name = "start"
cost = 0
given = true

[[stages]]
name = "dft"
cost = 10
outside = true
"""


def bring(to_do: Path, results: Path, name: str, keep=lambda _a: True) -> list[str]:
    """Do outside what is to be done, or a part of it."""
    done = []
    for atoms in ase.io.read(to_do, ":"):
        if keep(atoms):
            new = atoms.copy()
            new.calc = EMT()
            new.get_potential_energy()
            done.append(new)
    results.mkdir(parents=True, exist_ok=True)
    ase.io.write(results / name, done)
    return [a.info["id"] for a in done]


def test_outside_stages_hand_out_and_take_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """To and fro by the command line: 75 while results are missing, and what is missing is said."""
    plan, out = some_campaign.write(tmp_path, head='train = 12\nthreshold = "9sigma"', stages=OUTSIDE), tmp_path / "run"
    line = ["screen", "--campaign", str(plan), "-o", str(out), "--threads", "1"]
    assert crystal(line) == 75
    told = capfd.readouterr()
    assert "stage 'dft' waits for 12 structures" in told.err
    assert "give the same command again" in told.out + told.err
    to_do, results = out / "outside" / "dft-to-do.extxyz", out / "outside" / "dft"
    assert len((out / "outside" / "dft-to-do.txt").read_text().splitlines()) == 12
    first = bring(to_do, results, "part.extxyz", lambda a: int(a.info["id"].split()[1]) % 2 == 0)
    assert crystal(line) == 75
    assert (
        f"{len(first)} of 12 results taken; stage 'dft' waits for {12 - len(first)} structures"
        in capfd.readouterr().err
    )
    rest = bring(to_do, results, "more.extxyz")
    assert not set(first) & set(rest)
    assert crystal(line) == 75  # now the survivors
    survivors = ase.io.read(to_do, ":")
    lost = survivors[0].info["id"]
    bring(to_do, results, "end.extxyz", lambda a: a.info["id"] != lost)
    (results / "failed.txt").write_text(f"{lost}: no convergence in 200 steps\n")
    assert crystal(line) == 3
    assert not to_do.exists()
    table = {r["id"]: r for r in rows(out)}
    assert "no convergence in 200 steps" in table[lost]["problems"]
    assert table[lost]["outcome"].startswith("no final energy")
    relaxed = sum(bool(r["E_f [eV/atom]"]) for r in table.values())
    assert relaxed == 12 + len(survivors) - 1 == json.loads((out / "report.json").read_text())["fully_relaxed"]


def test_what_was_brought_for_another_run_is_taken_with_a_warning(tmp_path: Path) -> None:
    plan, run = some_campaign.write(tmp_path, head="train = 12", stages=OUTSIDE), tmp_path / "run"
    to_do, results, said = run / "outside" / "dft-to-do.extxyz", run / "outside" / "dft", list[str]()
    with pytest.raises(Stopped):
        do(plan, run, said=said)
    bring(to_do, results, "part.extxyz", lambda a: int(a.info["id"].split()[1]) % 2 == 0)
    with pytest.raises(Stopped):
        do(plan, run, said=said)
    assert not any("before this run began" in line for line in said)
    stale = run / "outside" / "old-to-do.txt"
    stale.write_text("alloy 99\n")
    with pytest.raises(Stopped):
        life.run(SCREEN, asked(plan, run), Host(said.append, said.append), overwrite=True)
    assert any("holds results from before this run began ('alloy " in line for line in said)
    assert not stale.exists()
    assert (results / "part.extxyz").exists()


FAILED_LINES = """\ufeff
run:0: scf did not converge
run:1
 run : two
run:1:a: of three parts: all of it
run
runs:0: misspelt
nobody
"""


def test_ids_with_colons_fail_by_their_whole_name(tmp_path: Path) -> None:
    """The longest id that there is counts; a line of none is not lost without a word, nor is a result of none."""
    ids = ["run", "run:0", "run:1", "run:1:a", "run:3"]
    some = [Structure(i, a) for i, a in zip(ids, some_campaign.alloys(len(ids)), strict=True)]
    stage = StagePlan("dft", 1.0, "outside", (), Outside())
    worker = OutsideWorker(stage, tmp_path, [*ids, "run:9"], counted=True)
    results = tmp_path / "outside" / "dft"
    results.mkdir(parents=True)
    (results / "failed.txt").write_text(FAILED_LINES, encoding="utf-8")
    wrong = Structure("run-3", some[-1].atoms)
    (results / "some.extxyz").write_text(extxyz([some[-1], wrong], [-1.5, -1.5]), encoding="utf-8")
    said: list[str] = []
    run: Any = SimpleNamespace(resumed=True, reporter=Host(said.append, said.append))
    for _ in range(2):  # said once, however many tasks look
        found = {r.id: r for _, (r,) in worker.work("task", iter([(i.id, [i]) for i in some]), run)}
    problems = {i: r.problem for i, r in found.items()}
    assert problems == {
        "run": "failed: said to have failed",
        "run:0": "failed: scf did not converge",
        "run:1": "failed: said to have failed",
        "run:1:a": "failed: of three parts: all of it",
        "run:3": "",
    }
    strangers, lines = said
    assert "'run-3': no structure of the campaign has this id" in strangers
    assert "failed.txt: 'runs:0: misspelt', 'nobody': begins with the id of no structure" in lines


def test_what_people_can_mend_is_not_taken(tmp_path: Path) -> None:
    """A result without its energy, or of another compound, beside good ones: it is said and waited for."""
    some = [Structure(i, a) for i, a in zip("abcd", some_campaign.alloys(4), strict=True)]
    worker = OutsideWorker(StagePlan("dft", 1.0, "outside", (), Outside()), tmp_path, "abcd", counted=True)
    results = tmp_path / "outside" / "dft"
    results.mkdir(parents=True)
    said: list[str] = []
    run: Any = SimpleNamespace(resumed=True, reporter=Host(said.append, said.append))

    def taken(*brought: tuple[str, ase.Atoms, float | None]) -> Iterator[tuple[str, str]]:
        frames = [Structure(i, a) for i, a, _ in brought]
        (results / "some.extxyz").write_text(extxyz(frames, [e for *_, e in brought]), encoding="utf-8")
        for _, (r,) in worker.work("task", iter([(i.id, [i]) for i in some]), run):
            yield r.id, r.problem

    good, bare, other, failed = (s.atoms for s in some)
    found = taken(("a", good, -1.5), ("b", bare, None), ("c", good, -1.5), ("d", failed, None))
    assert next(found) == ("a", "")
    with pytest.raises(Stopped, match="1 of 4 results taken; stage 'dft' waits for 3 structures"):
        next(found)
    assert (tmp_path / "outside" / "dft-to-do.txt").read_text() == "b\nc\nd\n"
    (words,) = [s for s in said if "not taken" in s]
    assert "b: energy: came back without 'energy'; c: composition: came back as" in words
    (results / "failed.txt").write_text("d: no convergence")
    found = taken(("a", good, -1.5), ("b ", bare, -1.5), ("c", other, -1.5), ("d", failed, None))
    assert list(found) == [("a", ""), ("b", ""), ("c", ""), ("d", "failed: no convergence")]


def test_what_comes_back_as_another_compound_is_no_result() -> None:
    a, b = some_campaign.alloys(2)
    assert misfit(Result("x", atoms=b, energy=1.0), Structure("x", a)).problem.startswith("composition: came back as")
    assert misfit(Result("x", atoms=a, energy=1.0), Structure("x", a)).energy == 1.0


REPLAY = """
[[stages]]
name = "start"
cost = 1
given = true

[[stages]]
name = "end"
cost = 9
file = "{path}"
energy = "e"
formation = true
"""


def replay(tmp_path: Path, head: str) -> Path:
    structures = some_campaign.alloys(40)
    rng = np.random.default_rng(1)
    for atoms in structures:
        share = atoms.numbers.tolist().count(46) / len(atoms)
        atoms.info["e"] = -0.4 * share * (1 - share) + 0.05 * rng.normal()
    some_campaign.candidates(tmp_path / "end.extxyz", structures)
    stages = REPLAY.format(path=tmp_path / "end.extxyz")
    return some_campaign.write(tmp_path, 40, head=head, stages=stages, references="")


def test_replay_tells_recall_and_the_sweep_ends_at_everything(tmp_path: Path) -> None:
    plan = replay(tmp_path, "train = 12\nkappas = [0, 1, 2, 1000]")
    report = do(plan, tmp_path / "run")
    found = report["recall"]
    assert found["recall"] == pytest.approx(1 - len(found["missed"]) / len(found["true_hull"]))
    assert {r["kappa"] for r in report["sweep"]} == {0, 1, 2, 1000}
    shares = [r["share"] for r in report["sweep"]]
    assert shares == sorted(shares)
    end = report["sweep"][-1]
    assert (end["recall"], end["share"], end["rise"]) == (1.0, 1.0, 0.0)
    here = next(r for r in report["sweep"] if r["kappa"] == 2)
    assert here["recall"] == found["recall"]
    assert here["cost"] == pytest.approx(report["cost"])
    assert (tmp_path / "run" / "cost-recall.png").stat().st_size > 5000
    with (tmp_path / "run" / "cost-recall.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4


@pytest.mark.parametrize("way", ["uncertainty", "on-hull", "diversity"])
def test_structures_to_train_on_can_be_chosen(tmp_path: Path, way: str) -> None:
    plan = replay(tmp_path, f'train = 20\nselection = "{way}"\nrounds = 2')
    report = do(plan, tmp_path / "run")
    assert report["trained_on"] == 20
    assert (tmp_path / "run" / "models" / "round-1").exists() == (way != "diversity")


def test_every_round_takes_its_share() -> None:
    assert Settings(train=43, selection="on-hull").sizes == (11, 11, 11, 10)
    assert Settings(train=43, selection="uncertainty", rounds=2).sizes == (22, 21)
    assert Settings(train=43).sizes == Settings(train=43, selection="diversity").sizes == (43,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("train = 12", "trian = 12"), r"the plan has no option 'trian'; did you mean 'train'\?"),
        (("train = 12", 'threshold = "2"'), "write 2sigma"),
        (("cost = 5", ""), "stage 'volume' needs a cost"),
        (('potential = "emt"\ncell', 'potential = "emtt"\ncell'), "stage 'volume': no potential 'emtt'"),
        (
            ('potential = "emt"\ncell', 'potential = "emt"\ngiven = true\ncell'),
            "needs one of .* not potential and given",
        ),
        (("Cu = -0.007", "Xx = -0.007"), r"\[references\] has no key 'Xx'"),
        (("Cu = -0.007", ""), r"\[references\] says nothing of Cu"),
        (("Cu = -0.007", "Cu = nan"), r"\[references\] Cu must be a number, eV/atom"),
        (("train = 12", "train = 12\nkappas = [1, inf]"), "kappas must be a list of numbers"),
        ((some_campaign.REFERENCES, ""), "gives total energies"),
        (("n_conv = 1", "n_conf = 1"), "no option 'n_conf'"),
        (("[training.cgcnn]", "[training.lcgcn]"), r"\[training.lcgcn\] belongs to no part of cgcnn"),
        (("train = 12", "train = 24"), "nothing is left to screen"),
        (
            ("train = 12", 'train = 12\nselection = "on-hull"'),
            "train = 12 in 4 rounds: .* the 3 of .* = 40",
        ),
        (("train = 12", "train = 12\nkappas = [1]"), "kappas needs data that hold all stages"),
        (('name = "loose"', 'name = "volume"'), "two stages are called 'volume'"),
        (("hold_atoms = true", "hold_atoms = 1"), "option hold-atoms of stage 'volume' must be bool"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_before_anything_is_written(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    plan = some_campaign.write(tmp_path)
    assert change[0] in plan.read_text()
    plan.write_text(plan.read_text().replace(*change, 1))
    with pytest.raises(UsageError, match=said):
        do(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_dry_run_and_flags_beside_a_plan(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = some_campaign.write(tmp_path)
    plan.write_text(plan.read_text().replace('name = "loose"', 'name = "loose"\nlearn = "difference"'))
    assert crystal(["screen", "--campaign", str(plan), "-o", str(tmp_path / "run"), "--dry-run"]) == 0
    said = capfd.readouterr()
    assert "24 candidates, 12 to train on (random)" in said.out + said.err
    assert "stage volume: potential emt, cost 5\nstage loose: potential emt, cost 60; learns the difference" in said.out
    assert "cost: 12.1 to 24 full relaxations" in said.out + said.err
    assert not (tmp_path / "run").exists()
    assert crystal(["screen", "--campaign", str(plan), "--threshold", "1sigma"]) == 2
    assert "--threshold does not go with --campaign; write it into the plan" in capfd.readouterr().err


@pytest.mark.parametrize("what", ["candidates", "elements"])
def test_a_list_on_standard_input_is_read_once(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that it names are counted, and among those that the run depends on."""
    plan = some_campaign.write(tmp_path)
    listed = tmp_path / "candidates.extxyz"
    if what == "elements":
        listed = tmp_path / "elements.extxyz"
        ase.io.write(listed, [Atoms(s, cell=[3, 3, 3], pbc=True) for s in ("Cu", "Pd")])
        plan.write_text(plan.read_text().replace("Cu = -0.007\nPd = 0.0", 'elements = "-"'))
    else:
        plan.write_text(plan.read_text().replace(f'"{listed}"', '"-"'))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{listed}\n"))
    work = Screening(asked(plan, tmp_path / "run"), Host())
    assert work.inputs == ([plan, listed] if what == "candidates" else [plan, tmp_path / "candidates.extxyz", listed])
    assert (work.describe()["files"], work.describe()["number_of_candidates"]) == (1, 24)


def test_a_stop_is_kept(tmp_path: Path) -> None:
    class Late:
        signal = None

        def reason(self) -> str:
            return "the time limit"

    request = asked(some_campaign.write(tmp_path), tmp_path / "run")
    with pytest.raises(Stopped, match=r"the same command or --resume .*/run goes on"):
        life.run(SCREEN, request, stop=Late())  # type: ignore[arg-type]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["exit_code"] == 75
