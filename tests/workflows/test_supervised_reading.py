"""Files read, and structures relaxed, in supervised processes: what kills one is named, the others come as ever."""

import ase.build
import ase.io
import pytest

from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.structure_files import reading
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.vocabulary.errors import Exit
from crystalcli.workflows.graphs.supervised_reading import read_inputs
from crystalcli.workflows.relax import relaxation
from crystalcli.workflows.relax.relaxation_plan import RelaxationPlan

DEADLY = """
import os
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Calculator, Reader

def read(path):
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
        Reader(name="deadly", summary="dies", suffixes=(".deadly",), sniff=lambda p: True, read=read),
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
    for one, other in zip(read_inputs(good), reading.read_inputs(good), strict=True):
        assert (one.id, one.source, one.atoms, one.labels) == (other.id, other.source, other.atoms, other.labels)
    found = list(read_inputs(files))
    assert [f.code if isinstance(f, Failure) else f.id for f in found] == ["a:0", "a:1", "worker-died", "c:0", "c:1"]
    assert found[2].path == str(files[1])


def test_a_relaxation_goes_on_without_it(files, tmp_path):
    plan = RelaxationPlan(tuple(map(str, files)), "emt", "fire", str(tmp_path / "run"), steps=0)
    report = relaxation.run(plan)
    assert [r["reason"] for r in report.data["rows"]].count("worker-died") == 1
    assert report.data["structures"] == 5
    assert (tmp_path / "run" / "relaxed.extxyz").exists()


def test_a_potential_that_kills_its_worker_costs_its_shard(files, tmp_path):
    ase.io.write(files[0], [ase.build.bulk(s) for s in ("Cu", "Al", "Ag", "Cu", "Ni")])
    plan = RelaxationPlan((str(files[0]),), "deadly", "fire", str(tmp_path / "run"), steps=0, batch_size=2, jobs=2)
    report = relaxation.run(plan)
    assert [r["reason"] for r in report.data["rows"]] == ["converged"] * 2 + ["worker-died"] * 2 + ["converged"]
    assert "twice" in report.data["rows"][2]["message"]
    assert report.exit_code == Exit.SOME_FAILED
