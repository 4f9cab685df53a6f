"""Workers that hang, die, eat memory or speak too fast: the culprit is named, everything else comes out in order."""

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from crystalcli.mechanisms.running.workers import Limits, Lost, Workers


def start(mark):
    """Numbers up to an item's; words make trouble."""

    def do(item, skip: int) -> Iterator[object]:
        if isinstance(item, int):
            yield from (("t", item, k) for k in range(skip, item))
            return
        word, after = item
        for k in range(skip, after):
            yield ("t", word, k)
        if word == "hang":
            time.sleep(600)
        elif word == "die":
            os._exit(3)
        elif word == "once" and not mark.exists():
            mark.touch()
            os._exit(3)
        elif word == "eat":
            try:
                np.ones(1 << 30)
            except MemoryError:
                yield ("t", "no room", 0)
        yield ("t", word, after)

    return do


@pytest.fixture
def run(tmp_path):
    """Results of items."""

    def every(items, jobs=2, limits=None, skip=None):
        with Workers(start, tmp_path / "once", jobs, limits) as workers:
            return list(workers.results(items, skip))

    return every


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_order_does_not_depend_on_the_number_of_workers(run, jobs):
    items = [3, 0, 200, 1, 0, 5000, 2, *[1] * 300]
    assert run(items, jobs) == [(n, ("t", item, k)) for n, item in enumerate(items) for k in range(item)]


def test_nothing_to_do(run):
    assert run([]) == []


def test_what_is_known_is_left_out(run):
    assert run([3, 3], skip={0: 2, 1: 3}) == [(0, ("t", 3, 2))]


def test_one_that_hangs_is_stopped_and_named(run):
    began = time.monotonic()
    found = run([1, ("hang", 3), 1, ("hang", 0), *[1] * 40], limits=Limits(2.0))
    assert time.monotonic() - began < 30
    lost = {n: r for n, r in found if isinstance(r, Lost)}
    assert set(lost) == {1, 3}
    assert all(r.timed_out and "took longer than 2 s" in r.reason for r in lost.values())
    assert [r for n, r in found if n == 1][:-1] == [("t", "hang", k) for k in range(3)]
    assert sum(isinstance(r, tuple) for _, r in found) == 1 + 3 + 1 + 40


def test_one_that_dies_is_tried_again_and_named(run):
    found = run([2, ("die", 5), ("once", 4), *[1] * 20])
    lost = Lost("the process that read it died", timed_out=False, after=5)
    assert [r for n, r in found if n == 1] == [*(("t", "die", k) for k in range(5)), lost]
    assert [r for n, r in found if n == 2] == [("t", "once", k) for k in range(5)]
    assert [n for n, _ in found] == sorted(n for n, _ in found)
    assert [r for n, r in found if n >= 3] == [("t", 1, 0)] * 20


def test_memory_is_limited(run):
    found = run([("eat", 0), 1], jobs=1, limits=Limits(60.0, 4 << 30))
    assert found == [(0, ("t", "no room", 0)), (0, ("t", "eat", 0)), (1, ("t", 1, 0))]


def test_workers_that_run_ahead_wait(run, monkeypatch):
    from crystalcli.mechanisms.running import workers

    monkeypatch.setattr(workers, "CHUNKS_HELD", 2)
    found = run([1, 20000, 20000], jobs=3, limits=Limits(5.0))
    assert len(found) == 40001
    assert found[-1] == (2, ("t", 20000, 19999))
