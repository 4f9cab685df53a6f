"""A training that dies at any write, or finds the disk full there, and is resumed, ends in the same bytes."""

from itertools import count

import pytest
from common import small_cache
from common.failing_writes import in_a_child, nth_write
from common.some_trainings import asked, changed, resume, train

from crystalcli.contracts.records import Recipe
from crystalcli.contracts.request import Request
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.train import run
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, UsageError


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Two epochs of two batches, a state after each."""
    folder = tmp_path_factory.mktemp("training")
    return asked(
        arch="cgcnn",
        head="crystal",
        output=str(folder / "whole"),
        caches=(str(small_cache.write(folder / "graphs.h5", 20)),),
        arch_options={"n_conv": 1, "width": 4},
        head_options={"hidden": 4},
        recipe=Recipe(batch_size=8, epochs=2, ema=0.9),
        split="random",
        fractions="0.7,0.2,0.1",
        device="cpu",
        threads=1,
        checkpoint_every=0.0,
    )


@pytest.fixture(scope="module")
def expected(plan):
    """Bytes of the model when nothing goes wrong."""
    return train(plan).model.read_bytes()


def go_on(plan: Request) -> bytes:
    """What a user does with a run that ended badly: resume it, or start it where nothing was begun."""
    path = plan.path
    try:
        if RunFolder.read(path)["exit_code"] == Exit.OK:
            return (path / run.MODEL).read_bytes()
    except UsageError:
        return train(plan, overwrite=True).model.read_bytes()
    return resume(path).model.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("at", ["kill", "tear"])
def test_every_write_may_be_the_last(plan, expected, tmp_path, at):
    for n in count(1):
        cut = changed(plan, output=str(tmp_path / str(n)))
        died = in_a_child(lambda: train(cut), n, at)  # noqa: B023 - called at once
        assert go_on(cut) == expected, n
        if not died:
            break
    assert n > 20


@pytest.mark.slow
def test_every_write_may_find_the_disk_full(plan, expected, tmp_path):
    found = []
    for n in count(1):
        cut = changed(plan, output=str(tmp_path / str(n)))
        with pytest.MonkeyPatch.context() as patch:
            seen = nth_write(patch, n, "full")
            try:
                train(cut)
            except EnvironmentProblem as problem:
                found.append(problem)
        assert go_on(cut) == expected, n
        if seen[0] < n:
            break
    assert n > 20
    assert len(found) >= n - 2
    assert all("No space left" in p.reason for p in found)
