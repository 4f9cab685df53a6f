"""The line that says every minute how far a series of runs is."""

from __future__ import annotations

import pytest
from common import small_cache
from common.some_trainings import changed, train
from train.test_training import plan

from crystalcli.contracts.workflow import Host, Reporter
from crystalcli.train import pulse
from crystalcli.train.pulse import with_pulse
from crystalcli.train.series import _within


class Runs:
    """Runs of 10 epochs of 4 batches on a clock of its own."""

    def __init__(self, name=""):
        self.now, self.said, self.seen = 0.0, [], []
        heard = Reporter(say=self.said.append, progress=lambda *told: self.seen.append(told))
        self.reporter = with_pulse(heard, name, lambda: self.now)

    def go(self, number, of, *, seconds, begin=0):
        hears = _within(self.reporter, number - 1, of)
        for batch in range(4 * begin, 40):
            self.now += seconds
            hears.progress(f"epoch {batch // 4 + 1} of 10", (batch + 1) / 4, 10)


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


def test_a_single_run_has_lines_of_its_own(tmp_path, monkeypatch):
    """And several have theirs from the outermost: a curve of series says each once."""
    monkeypatch.setattr(pulse, "SILENCE", 0.0)
    cache = small_cache.write(tmp_path / "graphs.h5")
    said, seen = [], []
    heard = Host(say=said.append, progress=lambda *told: seen.append(told))
    few = plan(cache, tmp_path / "one", epochs=2)
    train(few, heard)
    assert not [s for s in said if s.startswith("run ")]
    assert [seen[0], seen[-1]] == [("epoch 1 of 2", 0.25, 2), ("epoch 2 of 2", 2.0, 2)]
    said.clear()
    train(changed(few, output=tmp_path / "all"), heard, learning_curve="12,20", seeds=2)
    lines = [s.partition(", about")[0] for s in said if ", epoch " in s]
    assert len(lines) == len([s for s in seen if s[0].startswith("run ")])
    assert lines[-1] == "run 2 of 2, run 2 of 2, epoch 2 of 2"


def test_one_pulse_is_enough():
    runs = Runs("named")
    assert with_pulse(runs.reporter) is runs.reporter
    runs.go(1, 2, seconds=61.0)
    assert all(s.startswith("named: run 1 of 2") for s in runs.said)
    assert len(runs.seen) == len(runs.said) == 40
