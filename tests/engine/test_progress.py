"""How far a run is and how long it still takes."""

from __future__ import annotations

import json
import math

import pytest
from common import small_cache
from common.some_trainings import changed, train
from train.test_training import plan

from crystalcli.contracts.host import Host, Level, Reporter
from crystalcli.engine.run import progress
from crystalcli.engine.run.progress import Forecast, Notes, Pulse, Told, line, share, spoken


class Runs:
    """Runs of 10 epochs of 4 batches on a clock of its own."""

    def __init__(self, name=""):
        self.now, self.said = 0.0, []
        pulse = Pulse(self.said.append, lambda: self.now)
        self.reporter = Reporter(hear=pulse.hear)
        self.reporter = self.reporter.within(name) if name else self.reporter

    def go(self, number, of, *, seconds, begin=0):
        hears = self.reporter.within(f"run {number} of {of}", number - 1, of)
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


@pytest.mark.parametrize("name", ["", "relaxed-1"])
def test_the_next_series_is_estimated_by_itself(name):
    runs = Runs(name)
    runs.go(1, 2, seconds=1.0)
    runs.go(2, 2, seconds=1.0)
    del runs.said[:]
    if name:  # all of another name, though it is as far
        runs.reporter = Reporter(hear=runs.reporter.hear).within("relaxed-2")
    runs.go(1, 2, seconds=100.0)
    assert runs.said[1].removeprefix("relaxed-2: ") == "run 1 of 2, epoch 1 of 10, about 2.2 h left"


def test_another_name_as_far_is_not_the_same():
    forecast, clock = None, [0.0]
    forecast = Forecast(lambda: clock[0])
    for name, done, now in (("a", 1, 0.0), ("a", 2, 10.0), ("b", 3, 1000.0)):
        clock[0] = now
        left = forecast.seconds_left((Level(name, 0), Level("x", done, 4)))
        assert left == (20.0 if (name, done) == ("a", 2) else None)


@pytest.mark.parametrize(
    ("levels", "done"),
    [
        ([], 0.0),
        ([Level("a", 1)], None),
        ([Level("a", 1, 4)], 0.25),
        ([Level("a", 1, 4), Level("b", 1, 2)], 0.375),
        ([Level("a", 8, 32, 8), Level("b", 1, 2)], 0.375),
        ([Level("a", 1, 4), Level("b", 7)], 0.25),
        ([Level("a", 1, 4), Level("b", 7), Level("c", 1, 2)], 0.25),
        ([Level("a", 1), Level("c", 1, 2)], None),
        ([Level("a", 9, 4)], 1.0),
    ],
)
def test_the_share_of_all(levels, done):
    assert share(levels) == done


def test_a_line_names_what_it_is_in():
    levels = [Level("decision 1", 0), Level("run 2 of 5", 1, 5), Level("epoch 3 of 20", 2, 20)]
    assert line(levels, 100.0) == "decision 1: run 2 of 5, epoch 3 of 20, about 2 min left"
    assert line(levels[:1], None) == "decision 1"
    assert line([Level("120 relaxed", 120), Level("step 7", 7)], None) == "120 relaxed: step 7"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (7200.0, "2.0 h"), (3e5, "3.5 d")]
)
def test_times_are_spoken(seconds, text):
    assert spoken(seconds) == text


def test_the_file_says_what_is_the_runs_own(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    written = []
    notes = Notes(written.append, outer=1, facts={"command": "train"})
    reporter = Reporter(hear=notes.hear).within("run 2 of 5", 1, 5)
    reporter.progress("epoch 3 of 20", 2.5, 20)
    found = json.loads(written[-1])
    assert (found["command"], found["share"]) == ("train", 0.125)
    told = Told.from_json(found)
    assert told.levels == (Level("epoch 3 of 20", 2.5, 20),)
    assert math.isclose(share(told.levels), 0.125)


def test_the_file_is_not_written_at_every_step():
    written = []
    notes = Notes(written.append)
    for k in range(100):
        notes.hear((Level("step", k, 100),))
    assert written == []


def test_all_runs_of_a_series_are_heard(tmp_path, monkeypatch):
    """A single run, and a curve of series: each says which run it is, of all that are around it, once."""
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    cache = small_cache.write(tmp_path / "graphs.h5")
    seen = []
    heard = Host(hear=seen.append)
    few = plan(cache, tmp_path / "one", epochs=2)
    train(few, heard)
    assert [seen[0], seen[-1]] == [(Level("epoch 1 of 2", 0.25, 2),), (Level("epoch 2 of 2", 2.0, 2),)]
    seen.clear()
    folder = tmp_path / "all"
    train(changed(few, output=folder), heard, learning_curve="12,20", seeds=2)
    assert [level.now for level in seen[-1]] == ["run 2 of 2", "run 2 of 2", "epoch 2 of 2"]
    assert sorted({share(levels) for levels in seen}) == [share(levels) for levels in seen]
    logged = [text.partition(" ")[2][9:] for text in (folder / "log.txt").read_text().splitlines()]
    lines = [text.partition(", about")[0] for text in logged if ", epoch " in text]
    assert len(lines) == len(seen)
    assert lines[-1] == "run 2 of 2, run 2 of 2, epoch 2 of 2"
