"""A training that dies at any write, or finds the disk full there, and is resumed, ends in the same bytes."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from workflows import small_cache
from workflows.failing_writes import in_a_child, nth_write

from crystalcli.contracts.records import Recipe
from crystalcli.mechanisms.running.run_folder import RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, UsageError
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training
from crystalcli.workflows.train.training_plan import SplitPlan, TrainingPlan


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Two epochs of two batches, a state after each."""
    folder = tmp_path_factory.mktemp("training")
    return TrainingPlan(
        architecture="cgcnn",
        head="crystal",
        output=str(folder / "whole"),
        caches=(str(small_cache.write(folder / "graphs.h5", 20)),),
        architecture_options={"n_conv": 1, "width": 4},
        head_options={"hidden": 4},
        recipe=Recipe(batch_size=8, epochs=2, ema=0.9),
        split=SplitPlan(kind="random", fractions="0.7,0.2,0.1"),
        device="cpu",
        threads=1,
        checkpoint_every=0.0,
    )


@pytest.fixture(scope="module")
def expected(plan):
    """Bytes of the model when nothing goes wrong."""
    return training.run(plan).model.read_bytes()


def go_on(plan: TrainingPlan) -> bytes:
    """What a user does with a run that ended badly: resume it, or start it where nothing was begun."""
    path = Path(plan.output)
    try:
        if RunFolder.read(path)["exit_code"] == Exit.OK:
            return (path / training.MODEL).read_bytes()
    except UsageError:
        return training.run(replace(plan, overwrite=True)).model.read_bytes()
    return training.resume(path, {}, Listener(), Stop()).model.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("at", ["kill", "tear"])
def test_every_write_may_be_the_last(plan, expected, tmp_path, at):
    for n in count(1):
        cut = replace(plan, output=str(tmp_path / str(n)))
        died = in_a_child(lambda: training.run(cut), n, at)  # noqa: B023 - called at once
        assert go_on(cut) == expected, n
        if not died:
            break
    assert n > 20


@pytest.mark.slow
def test_every_write_may_find_the_disk_full(plan, expected, tmp_path):
    found = []
    for n in count(1):
        cut = replace(plan, output=str(tmp_path / str(n)))
        with pytest.MonkeyPatch.context() as patch:
            seen = nth_write(patch, n, "full")
            try:
                training.run(cut)
            except EnvironmentProblem as problem:
                found.append(problem)
        assert go_on(cut) == expected, n
        if seen[0] < n:
            break
    assert n > 20
    assert len(found) >= n - 2
    assert all("No space left" in p.reason for p in found)
