"""Workers that hang, die, eat memory or speak too fast: the culprit is named, everything else comes out in order."""

import os
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest
from common.trouble import PATHS, start
from dask_cluster import wait_for

from crystalcli.engine.run.tasks import Limits, Lost, Task
from crystalcli.engine.run.workers import Workers
from crystalcli.vocabulary.errors import EnvironmentProblem


@pytest.fixture
def run(tmp_path):
    """Results of items."""

    def every(items, jobs=2, limits=None, skip=None):
        with Workers(Task(start, tmp_path / "once", limits or Limits()), jobs) as workers:
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
    lost = Lost("the process that worked on it died", timed_out=False, after=5)
    assert [r for n, r in found if n == 1] == [*(("t", "die", k) for k in range(5)), lost]
    assert [r for n, r in found if n == 2] == [("t", "once", k) for k in range(5)]
    assert [n for n, _ in found] == sorted(n for n, _ in found)
    assert [r for n, r in found if n >= 3] == [("t", 1, 0)] * 20


def test_memory_is_limited(run):
    found = run([("eat", 0), 1], jobs=1, limits=Limits(60.0, 4 << 30))
    assert found == [(0, ("t", "no room", 0)), (0, ("t", "eat", 0)), (1, ("t", 1, 0))]


def test_workers_that_run_ahead_wait(run, monkeypatch):
    from crystalcli.engine.run import workers

    monkeypatch.setattr(workers, "CHUNKS_HELD", 2)
    found = run([1, 20000, 20000], jobs=3, limits=Limits(5.0))
    assert len(found) == 40001
    assert found[-1] == (2, ("t", 20000, 19999))


def test_items_are_taken_as_they_are_needed(tmp_path):
    taken = []

    def items():
        for k in range(100):
            taken.append(k)
            yield 1

    with Workers(Task(start, tmp_path / "once", ahead=1, window=2), 2) as workers:
        for n, _ in workers.results(items()):
            assert len(taken) <= n + 6
    assert len(taken) == 100


def test_a_pause_ends_the_work_and_what_is_whole_is_not_lost(tmp_path):
    class Enough(Exception):
        pass

    def pause():
        if time.monotonic() > end:
            raise Enough

    found: list[object] = []
    end = time.monotonic() + 2.0
    with Workers(Task(start, tmp_path / "once", ahead=1, window=4), 2) as workers, pytest.raises(Enough):
        found.extend(workers.results([1, ("hang", 0), 2, 3, 4], pause=pause))
    assert found == [(0, ("t", 1, 0))]
    assert workers.finished() == [(n, ("t", n, k)) for n in (2, 3, 4) for k in range(n)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_begin_with_nothing_of_the_current_folder(tmp_path, monkeypatch, method):
    """However they are made, on any system; what they start in turn finds its variables as the user set them."""
    for name in ("struct", "socket", "signal", "pickle", "selectors", "random", "numpy", "runpy", "mechanisms"):
        (tmp_path / f"{name}.py").write_text("open('RUN', 'w').close()\nraise ImportError('of a stranger')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}.{os.pathsep}{tmp_path / 'lib'}{os.pathsep}lib")
    monkeypatch.setattr("crystalcli.engine.run.workers._method", lambda _task: method)
    monkeypatch.setattr(forkserver._forkserver, "_forkserver_pid", None)  # a new one
    monkeypatch.setattr(forkserver._forkserver, "_forkserver_address", None)
    before = {name: os.environ.get(name) for name in PATHS}
    with Workers(Task(start, tmp_path / "once"), 1) as workers:
        assert list(workers.results([("path", 0)])) == [(0, (False, before)), (0, ("t", "path", 0))]
    assert {name: os.environ.get(name) for name in PATHS} == before
    assert not (tmp_path / "RUN").exists()


def test_what_a_worker_prints_is_not_on_stdout(tmp_path):
    (tmp_path / "mine.py").write_text(f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from common.trouble import start
from crystalcli.engine.run.tasks import Task
from crystalcli.engine.run.workers import Workers
with Workers(Task(start, Path("once")), 1) as workers:
    print(list(workers.results([("print", 0)])))
""")
    done = subprocess.run(
        [sys.executable, "mine.py"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "[(0, ('t', 'print', 0))]\n", done.stderr
    assert {"from a reader", "from a library"} <= set(done.stderr.splitlines())


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_is_not_begun_again_by_workers(tmp_path, method):
    """Without ``if __name__ == "__main__":``, as people write them."""
    (tmp_path / "mine.py").write_text(f"""
from pathlib import Path
from crystalcli.cli.main import run
import crystalcli.engine.run.workers as workers
workers._method = lambda _task: "{method}"
print("begun", __file__.endswith("mine.py"))
Path("Cu.xyz").write_text("1\\nLattice='9 0 0 0 9 0 0 0 9' Properties=species:S:1:pos:R:3\\nCu 0 0 0\\n")
print("ended", run(["label-sites", "Cu.xyz", "--label", "effective_coordination", "--overwrite"]), __file__[-7:])
""")
    done = subprocess.run(
        [sys.executable, "mine.py"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    said = [line for line in done.stdout.splitlines() if line.startswith(("begun", "ended"))]
    assert said == ["begun True", "ended 0 mine.py"], done.stderr


def test_one_that_cannot_begin_says_why(tmp_path):
    task = Task(start, tmp_path / "once", folder=str(tmp_path / "nowhere"))
    with Workers(task, 1) as workers, pytest.raises(EnvironmentProblem, match=r"nowhere is not there .*same files"):
        list(workers.results([1]))


def test_workers_end_with_their_parent(tmp_path):
    """Though they hang in foreign code and the parent is killed."""
    script = f"""
import os, signal, sys
from pathlib import Path
from common.trouble import PATHS, start
from crystalcli.engine.run.tasks import Task
from crystalcli.engine.run.workers import Workers
if __name__ == "__main__":
    with Workers(Task(start, Path({str(tmp_path / "once")!r})), 1) as workers:
        for _, result in workers.results([("pid", 0), ("hang", 0)]):
            if isinstance(result, int):
                print(result, flush=True)
            else:
                os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "script.py").write_text(script)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -9
    worker = Path(f"/proc/{int(done.stdout)}")
    wait_for(lambda: not worker.exists() or "Z" in (worker / "stat").read_text().rpartition(")")[2][:3])
