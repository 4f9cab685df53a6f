"""The line that says every minute how far a series of runs is."""

from __future__ import annotations

import pytest

from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train.training_pulse import with_pulse


class Runs:
    """Runs of 10 epochs of 4 batches on a clock of its own."""

    def __init__(self, name=""):
        self.now, self.said = 0.0, []
        self.listener = with_pulse(Listener(say=self.said.append), name, lambda: self.now)

    def go(self, number, of, *, seconds, begin=0):
        self.listener.run(number, of, 10)
        for batch in range(4 * begin, 40):
            self.now += seconds
            self.listener.step(batch // 4 + 1, batch % 4 + 1, 4)


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 1), (2.0, 2), (61.0, 80)])
def test_at_most_one_line_a_minute(seconds, lines):
    runs = Runs()
    runs.go(1, 2, seconds=seconds)
    runs.go(2, 2, seconds=seconds)
    assert len(runs.said) == lines  # of 80 batches


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (10.0, "run 1 of 3, epoch 2 of 10, about 19 min left"),  # at 60 s, 114 batches from the end
        (70.0, "run 1 of 3, epoch 1 of 10"),  # one batch has no rate
    ],
)
def test_run_epoch_and_time_left(seconds, said):
    runs = Runs()
    runs.go(1, 3, seconds=seconds)
    assert runs.said[0] == said
    if seconds == 70.0:
        assert runs.said[1] == "run 1 of 3, epoch 1 of 10, about 2.3 h left"


def test_runs_that_were_finished_before_do_not_count_as_fast():
    runs = Runs("relaxed-1")
    for number in (1, 2):
        runs.listener.run(number, 3, 10)
    runs.go(3, 3, seconds=30.0, begin=5)  # goes on in its sixth epoch
    assert runs.said[0] == "relaxed-1: run 3 of 3, epoch 6 of 10, about 9 min left"
    assert runs.said[-1].endswith("epoch 10 of 10, about 0 s left")


def test_the_next_series_is_estimated_by_itself():
    runs = Runs()
    runs.go(1, 2, seconds=1.0)
    runs.go(2, 2, seconds=1.0)
    del runs.said[:]
    runs.go(1, 2, seconds=100.0)
    assert runs.said[1] == "run 1 of 2, epoch 1 of 10, about 2.2 h left"


def test_a_single_run_has_lines_of_its_own():
    runs = Runs()
    runs.go(1, 1, seconds=100.0)
    for epoch in range(1, 4):
        runs.listener.step(epoch, 1, 1)
    assert runs.said == []
