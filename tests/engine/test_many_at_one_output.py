"""Eight builds and sixteen readers of one cache: one program at a time writes, who reads sees a whole one."""

import errno
import fcntl
import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.request import Request
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.host import life
from crystalcli.engine.run.locks import locked
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.workflow import RELAX
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit

CONTEXT = multiprocessing.get_context("fork")
WRITERS, READERS = 8, 16


@pytest.fixture(params=["kernel", "no-locks"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Structures in two folders, one more in the second; on a file system with locks and on one without."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if request.param == "no-locks":
        monkeypatch.setattr(fcntl, "flock", no_locks)
    for name, n in (("few", 5), ("many", 6)):
        (tmp_path / name).mkdir()
        for k in range(n):
            ase.io.write(tmp_path / name / f"{k}.extxyz", ase.build.bulk("Cu", a=3.5 + 0.02 * k))
    return tmp_path


def test_a_second_build_is_refused_by_name(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with locked(folder / "a.h5"):
        assert crystal(["build-graphs", str(folder / "few"), "-o", str(folder / "a.h5")]) == Exit.ENVIRONMENT
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"error: {folder / 'a.h5'}: process ")
    assert "is writing it" in line


def relaxed(structures: str, output: Path) -> None:
    life.run(
        RELAX, Request(RelaxOptions(structures=(structures,), potential="emt", steps=1), path=output), overwrite=True
    )


def moved(structures: str, output: Path) -> None:
    options = MdOptions(structures=(structures,), potential="emt", sampler="nve", steps=2, analysis=False)
    life.run(MD, Request(options, path=output), overwrite=True)


@pytest.mark.parametrize(("do", "name"), [(relaxed, "run"), (moved, "run")])
def test_nothing_of_a_run_at_work_is_replaced(folder: Path, do: Callable[[str, Path], None], name: str) -> None:
    structures, output = str(folder / "few" / "0.extxyz"), folder / "run"
    do(structures, output)
    assert not list(output.rglob(".*"))
    before = {p: p.read_bytes() for p in output.rglob("*") if p.is_file()}
    with locked(output / name), pytest.raises(EnvironmentProblem, match="is writing it"):
        do(structures, output)
    assert {p: p.read_bytes() for p in output.rglob("*") if p.is_file()} == before
    do(structures, output)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_eight_builds_and_sixteen_readers(folder: Path, rounds: int) -> None:
    """Every build takes its turn; they replace a cache of five structures by one of six, and back."""
    target = folder / "a.h5"
    build(BuildPlan((str(folder / "few"),), target, "cgcnn"))
    over = CONTEXT.Event()

    def write(k: int) -> None:
        for n in range(rounds):
            plan = BuildPlan((str(folder / ("few", "many")[(k + n) % 2]),), target, "cgcnn", overwrite=True)
            while True:
                try:
                    build(plan)
                    break
                except EnvironmentProblem as problem:
                    if "is writing it" not in str(problem):
                        raise
                    time.sleep(random.random() * 0.1)

    def read() -> None:
        while not over.is_set():
            data = GraphDataset.open([target])
            assert len(data) in (5, 6)
            sources = {Path(s).parent.name for s in data.sources}
            assert sources == {"few" if len(data) == 5 else "many"}
            assert data.batch(np.arange(len(data))).graph.n_structures == len(data)

    writers = [CONTEXT.Process(target=write, args=(k,)) for k in range(WRITERS)]
    readers = [CONTEXT.Process(target=read) for _ in range(READERS)]
    for process in writers + readers:
        process.start()
    for process in writers:
        process.join(1200)
    over.set()
    for process in readers:
        process.join(60)
    assert [p.exitcode for p in writers + readers] == [0] * (WRITERS + READERS)
    assert sorted(p.name for p in folder.iterdir()) == ["a.h5", "few", "many"]
