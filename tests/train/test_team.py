"""Several processes that train one model: a step is that of one process with the whole batch, in float64."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from common.one_step import CASES, step
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.train.processes import cuts
from crystalcli.vocabulary.errors import UsageError

TESTS = Path(__file__).parents[1]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 9))
def test_runs_cover_all_and_none_is_empty(sizes, n):
    if len(sizes) < n:
        with pytest.raises(UsageError, match="too small for"):
            cuts(np.array(sizes), n)
        return
    found = cuts(np.array(sizes), n)
    assert [k for s in found for k in range(s.start, s.stop)] == list(range(len(sizes)))
    assert all(s.stop > s.start for s in found)
    if n < len(sizes):
        most = max(sum(sizes[s]) for s in found)
        assert most <= sum(sizes) / n + 2 * max(sizes) or any(s.stop - s.start == 1 for s in found)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What two processes make of every case, each with its part of the batch."""
    folder = tmp_path_factory.mktemp("team")
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    line = [*line, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "common.one_step", str(folder)]
    done = subprocess.run(line, cwd=TESTS, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_one_step_is_that_of_the_whole_batch(shared, case):
    whole = step(case)
    first, second = (one[case] for one in shared)
    assert set(first) == set(second) == set(whole)
    largest = max(float(v.abs().max()) for v in whole.values())
    rtol, atol = (2e-3, 1e-5) if case.endswith("float32") else (1e-9, 1e-13 * max(largest, 1.0))
    for name, value in whole.items():
        torch.testing.assert_close(first[name], value, rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}")
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=0, equal_nan=True)
    assert any(n.startswith("gradient") and v.abs().max() > 0 for n, v in whole.items())
