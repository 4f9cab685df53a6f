"""Files read, and structures relaxed, in supervised processes: what kills one is named, the others come as ever."""

import multiprocessing
import subprocess
import sys

import ase.build
import ase.io
import pytest
from common import some_campaign

from crystalcli.contracts.host import Host, Reporter
from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.read import reading, supervised_reading
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import workers
from crystalcli.engine.run.tasks import Limits
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.workflow import RELAX
from crystalcli.screen.options import ScreenOptions
from crystalcli.screen.workflow import SCREEN
from crystalcli.vocabulary.errors import Exit, UsageError

DEADLY = """
import os, time
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Calculator, Reader

def read(path):
    if path.name.startswith("slow"):
        time.sleep(600)
    os._exit(11)
    yield

def potential(options):
    from ase.calculators.emt import EMT

    class Deadly(EMT):
        def calculate(self, atoms, *args):
            if "Ag" in atoms.symbols:
                os._exit(11)
            super().calculate(atoms, *args)

    return Deadly()

@hookimpl
def crystal_parts():
    return [
        Reader(name="deadly", summary="hangs or dies", suffixes=(".deadly",), sniff=lambda p: True, read=read),
        Calculator(name="deadly", summary="dies of silver", build=potential),
    ]
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two structures of one name, and a file that kills its reader between them."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "deadly.py"))
    registry.cache_clear()
    paths = [tmp_path / "a.extxyz", tmp_path / "b.deadly", tmp_path / "c.extxyz"]
    for path in (paths[0], paths[2]):
        ase.io.write(path, [ase.build.bulk("Cu"), ase.build.bulk("Cu", cubic=True)])
    paths[1].touch()
    yield paths
    monkeypatch.undo()
    registry.cache_clear()


def test_the_same_as_without_and_the_deadly_one_is_named(files):
    good = [files[0], files[2]]
    here = (found for item in reading.plan(good).items for found in reading.read_file(*item))
    for one, other in zip(read_inputs(good), here, strict=True):
        assert (one.id, one.source, one.atoms, one.labels) == (other.id, other.source, other.atoms, other.labels)
    found = list(read_inputs(files))
    assert [f.code if isinstance(f, Failure) else f.id for f in found] == ["a:0", "a:1", "worker-died", "c:0", "c:1"]
    assert found[2].path == str(files[1])


@pytest.fixture
def slow(files, monkeypatch):
    """The same with a file that never ends being read; patience is short."""
    monkeypatch.setattr(supervised_reading, "LIMITS", Limits(seconds=1.0))
    monkeypatch.setattr(workers, "START", 1.0)
    (files[0].parent / "slow.deadly").touch()
    return [*files, files[0].parent / "slow.deadly"]


def failed(report):
    return {f["id"]: f["reason"] for f in report.data["failed"]}


REASONS = {
    "b": "the process that worked on it died",
    "slow": "took longer than 1 s; its process was stopped",
}


def test_dynamics_go_on_without_them(slow, tmp_path):
    said = []
    how = {"potential": "emt", "sampler": "nve", "temperature": "0", "steps": 1, "analysis": False}
    options = MdOptions(structures=tuple(map(str, slow)), **how)
    report = life.run(MD, Request(options, path=tmp_path / "run"), Reporter(warn=said.append))
    assert failed(report) == REASONS
    named = [line.partition(": ")[0] for line in said if "its one atom rests" not in line]
    assert [str(slow[1]), str(slow[3])] == named
    assert report.data["exit_code"] == Exit.SOME_FAILED
    assert set(report.data["structures"]) == {"a:0", "a:1", "c:0", "c:1"}


def test_a_campaign_goes_on_without_them(slow, tmp_path):
    said = []
    some_campaign.candidates(slow[0], some_campaign.alloys(12))
    plan = some_campaign.write(tmp_path, head="train = 10")
    plan.write_text(plan.read_text().replace("epochs = 4", "epochs = 1"))
    options = ScreenOptions(candidates=tuple(map(str, slow)), campaign=plan, threads=1)
    report = life.run(SCREEN, Request(options, path=tmp_path / "run"), Host(warn=said.append))
    assert failed(report) == REASONS
    assert [str(slow[1]), str(slow[3])] == [line.partition(": ")[0] for line in said[:2]]
    assert report.data["exit_code"] == Exit.SOME_FAILED


@pytest.mark.parametrize("key", ["elements", "phases"])
def test_a_campaign_does_not_begin_with_references_that_kill(files, tmp_path, key):
    plan = some_campaign.write(tmp_path, references=f'{some_campaign.REFERENCES}\n{key} = "{files[1]}"\n')
    with pytest.raises(UsageError, match=r"cannot be read: .*b\.deadly: the process that worked on it died"):
        life.run(SCREEN, Request(ScreenOptions(campaign=plan, threads=1), path=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_process_ends_with_the_last_structure(files):
    with supervised_reading.Reading([files[0]]) as structures:
        assert multiprocessing.active_children()
        assert len(list(structures)) == 2
        assert not multiprocessing.active_children()


def test_a_relaxation_goes_on_without_it(files, tmp_path):
    options = RelaxOptions(structures=tuple(map(str, files)), potential="emt", steps=0)
    report = life.run(RELAX, Request(options, path=tmp_path / "run"))
    assert [r["reason"] for r in report.data["rows"]].count("worker-died") == 1
    assert report.data["structures"] == 5
    assert (tmp_path / "run" / "relaxed.extxyz").exists()


def test_a_potential_that_kills_its_worker_costs_its_shard(files, tmp_path):
    ase.io.write(files[0], [ase.build.bulk(s) for s in ("Cu", "Al", "Ag", "Cu", "Ni")])
    options = RelaxOptions(structures=(str(files[0]),), potential="deadly", steps=0, batch_size=2, jobs=2)
    report = life.run(RELAX, Request(options, path=tmp_path / "run"))
    assert [r["reason"] for r in report.data["rows"]] == ["converged"] * 2 + ["worker-died"] * 2 + ["converged"]
    assert "twice" in report.data["rows"][2]["message"]
    assert report.data["exit_code"] == Exit.SOME_FAILED


def test_a_program_ends_though_an_error_holds_its_reading_open(tmp_path):
    """Workers ignore SIGTERM, so a reading that nobody has left must end them itself before Python waits for them."""
    (tmp_path / "bad.cif").write_text("no crystal\n")
    program = (
        "from pathlib import Path\n"
        "from crystalcli.engine.read.supervised_reading import read_inputs\n"
        "for item in read_inputs([Path('bad.cif'), Path('other.cif')]):\n"
        "    raise ValueError(item.reason)\n"
    )
    (tmp_path / "other.cif").write_text("neither\n")
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "ValueError: not a CIF" in ended.stderr
    assert "atexit" not in ended.stderr
