"""Two hundred ``kill -9`` at random times each of build-graphs and train: what goes on ends in the same bytes."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from common.failing_writes import killed_after
from common.some_trainings import changed, train
from graphs.test_building_resumed import inputs, small_units
from train.test_training_kills import expected, go_on, plan

from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan

__all__ = ["expected", "plan", "small_units"]

KILLS = 200


def kill_at_random(work: Callable[[Path], object], then: Callable[[Path], bytes], same: bytes, folder: Path) -> None:
    """``work`` in a folder of its own, killed at a random time, ``then`` to its end; mostly killed, always the same."""
    start = time.monotonic()
    work(folder / "timed")
    usual = time.monotonic() - start
    rng = random.Random(0)
    killed = 0
    for k in range(KILLS):
        at = folder / str(k)
        killed += killed_after(rng.uniform(0, usual), lambda: work(at))  # noqa: B023 - called at once
        assert then(at) == same, k
    assert killed > KILLS / 2


@pytest.mark.slow
def test_building(tmp_path: Path) -> None:
    paths = inputs(tmp_path / "in")

    def work(output: Path) -> bytes:
        build(BuildPlan(paths, output.with_suffix(".h5"), "cgcnn", targets=("gap:eV", "q:e")))
        return output.with_suffix(".h5").read_bytes()

    kill_at_random(work, work, work(tmp_path / "whole"), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_training(plan, expected, tmp_path: Path) -> None:
    def in_folder(output: Path):
        return changed(plan, output=str(output))

    kill_at_random(lambda at: train(in_folder(at)), lambda at: go_on(in_folder(at)), expected, tmp_path)
