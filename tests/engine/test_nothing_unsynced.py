"""What is renamed into place is on the disk before, and the new name soon after: a power cut loses nothing said done.

Every rename is watched: the bytes must have been synced since they were last changed, and the folder must be synced
before the next rename in it, or the end.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import ase.build
import ase.io
import pytest
from common import small_cache
from common.some_trainings import changed, train
from train.test_training import plan as training_plan

from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.run import progress
from crystalcli.graphs import build as building
from crystalcli.graphs import parts
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.workflow import RELAX


class Watch:
    """Which files were synced as they are, and which folders have a new name that is not."""

    def __init__(self) -> None:
        self.synced: dict[tuple[int, int], tuple[int, int]] = {}
        self.waiting: set[Path] = set()
        self.renames = 0
        self.faults: list[str] = []

    def sync(self, handle: int) -> None:
        found = os.fstat(handle)
        self.synced[found.st_dev, found.st_ino] = found.st_size, found.st_mtime_ns
        self.waiting.discard(Path(f"/proc/self/fd/{handle}").resolve())

    def rename(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        if Path(target).name == progress.FILE:  # for onlookers: it is worth no wait, and nothing hangs on it
            return
        found = Path(source).stat()
        self.renames += 1
        if self.synced.get((found.st_dev, found.st_ino)) != (found.st_size, found.st_mtime_ns):
            self.faults.append(f"{target} was renamed before it was synced")
        self.waiting.add(Path(target).resolve().parent)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    seen = Watch()
    sound = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def fsync(handle: int) -> None:
        sound["fsync"](handle)
        seen.sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("replace", "rename"):

        def moved(source, target, name=name, **words):
            seen.rename(source, target)
            sound[name](source, target, **words)

        monkeypatch.setattr(os, name, moved)
    yield seen
    assert seen.faults == []
    assert seen.waiting == set(), "a new name was not synced"


@pytest.fixture
def metals(tmp_path: Path) -> Path:
    for k, name in enumerate(("Cu", "Ag", "Al")):
        atoms = ase.build.bulk(name, "fcc", a=4.1, cubic=True)
        atoms.rattle(0.05, seed=k)
        ase.io.write(tmp_path / f"{name}.xyz", atoms, format="extxyz")
    return tmp_path


def test_build_graphs(watch: Watch, metals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "UNIT", 1)
    monkeypatch.setattr(building, "UNIT", 1)
    build(BuildPlan(tuple(map(str, sorted(metals.glob("*.xyz")))), metals / "g.h5", "cgcnn", targets=("none",)))
    assert watch.renames >= 3


def test_train(watch: Watch, tmp_path: Path) -> None:
    plan = training_plan(small_cache.write(tmp_path / "g.h5"), tmp_path / "run")
    train(changed(plan, checkpoint_every=0.0))
    assert watch.renames > 10


def test_relax(watch: Watch, metals: Path) -> None:
    options = RelaxOptions(structures=tuple(map(str, sorted(metals.glob("*.xyz")))), potential="emt")
    life.run(RELAX, Request(options, path=metals / "run"))
    assert watch.renames >= 3


def test_md(watch: Watch, metals: Path) -> None:
    options = MdOptions(structures=(str(metals / "Cu.xyz"),), potential="emt", sampler="nve", steps=30)
    life.run(MD, Request(options, path=metals / "run"))
    assert watch.renames >= 3


def test_the_watch_sees_what_is_not_synced(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = Watch()
    seen.rename(tmp_path / "a", tmp_path / "b")
    assert seen.faults
    with (tmp_path / "a").open("r+") as file:
        seen.sync(file.fileno())
        seen.faults.clear()
        seen.rename(tmp_path / "a", tmp_path / "b")
        assert not seen.faults
        file.write("longer")
        file.flush()
        seen.rename(tmp_path / "a", tmp_path / "b")
    assert seen.faults
    assert seen.waiting == {tmp_path}
