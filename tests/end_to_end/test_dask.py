"""Work on a Dask cluster: a real scheduler, real workers, some of them killed; the same bytes as here."""

import contextlib
import io
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import ase.build
import ase.io
import pytest
from common import small_cache
from common.trouble import start
from dask_cluster import Cluster, address, wait_for
from moody_plugin import moody_plugin

from crystalcli.cli.main import run
from crystalcli.engine.run import dask_client, dask_host
from crystalcli.engine.run.dask_client import DaskWorkers
from crystalcli.engine.run.dask_cluster import scheduler_of
from crystalcli.engine.run.tasks import Limits, Lost, Task
from crystalcli.vocabulary.errors import EnvironmentProblem

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler with two workers."""
    made = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        made.start()
        yield made
    finally:
        made.end()


def results(cluster, items, *, skip=None, limits=None, mark=Path("nothing"), during=lambda _n: None):
    """What comes of ``items`` there."""
    found = []
    with DaskWorkers(cluster.file, Task(start, mark, limits or Limits(), ahead=4), lambda _line: None) as workers:
        for one in workers.results(iter(items), skip):
            found.append(one)
            during(len(found))
    return found


def crystal(*words, cwd, code=0):
    """Run in this process; what it says."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = run(list(words))
    assert found == code, err.getvalue() + out.getvalue()
    assert "Traceback" not in err.getvalue()
    return out.getvalue() + err.getvalue()


def test_results_come_in_order_and_long_ones_in_several_answers(cluster):
    items = [3, 0, 200, 1, 0, dask_host.MOST + 1000, 2, *[1] * 50]
    expected = [(n, ("t", item, k)) for n, item in enumerate(items) for k in range(item)]
    assert results(cluster, items) == expected
    known = {2: 150, 5: dask_host.MOST - 5}
    left = [(n, r) for n, r in expected if r[2] >= known.get(n, 0)]
    assert results(cluster, items, skip=known) == left
    assert results(cluster, []) == []


def test_an_item_that_hangs_or_kills_is_named(cluster, tmp_path):
    items = [1, ("hang", 3), ("die", 5), ("once", 4), *[1] * 20]
    found = results(cluster, items, limits=Limits(2.0), mark=tmp_path / "once")
    assert [r for n, r in found if n == 1][:3] == [("t", "hang", k) for k in range(3)]
    assert {n: (r.timed_out, r.after) for n, r in found if isinstance(r, Lost)} == {1: (True, 3), 2: (False, 5)}
    assert [r for n, r in found if n == 3] == [("t", "once", k) for k in range(5)]
    assert [r for n, r in found if n > 3] == [("t", 1, 0)] * 20


def test_a_dask_worker_that_is_killed_is_not_missed(cluster):
    items = [("slow", 2)] * 12
    killed = []

    def during(n):
        if n == 6 and not killed:
            killed.append(n)
            cluster.kill_worker()

    found = results(cluster, items, during=during)
    assert found == [(n, ("t", "slow", k)) for n in range(12) for k in range(3)]


def test_an_answer_that_dies_with_its_worker_is_waited_for(monkeypatch):
    """Dask works it out anew, which takes as long as it takes."""
    monkeypatch.setattr(dask_client, "CONNECT", 0.01)
    answer, asked = dask_host.WorkerAnswer([(0, "found")]), []

    class Future:
        def done(self):
            return True

        def result(self, timeout):
            asked.append(timeout)
            if len(asked) < 4:
                raise TimeoutError
            return answer

    workers = DaskWorkers("nowhere", Task(start, Path("nothing"), Limits()), lambda _line: None)
    workers._client = SimpleNamespace(status="running")
    group = SimpleNamespace(future=Future())
    assert workers._wait(group, lambda: None) is answer
    assert asked == [0.01] * 4
    workers._client.status, asked[:] = "closed", []
    with pytest.raises(EnvironmentProblem, match="is lost"):
        workers._wait(group, lambda: None)


def test_other_versions_there_are_refused(cluster, monkeypatch):
    wanted = {**dask_host.installed(), "crystal": "9.9"}
    monkeypatch.setattr(dask_client, "installed", lambda: wanted)
    with pytest.raises(EnvironmentProblem, match=r"worker .*: crystal .* instead of 9\.9"):
        results(cluster, [1])


def test_a_folder_that_is_not_there_is_said(cluster, tmp_path):
    task = Task(start, tmp_path, folder="/nowhere/at/all")
    with (
        DaskWorkers(cluster.file, task, lambda _line: None) as workers,
        pytest.raises(EnvironmentProblem, match=r"/nowhere/at/all is not there .* need the same files"),
    ):
        list(workers.results([1]))


def test_no_scheduler_is_one_line(tmp_path):
    (tmp_path / "a.cif").write_text("data_nothing\n")
    began = time.monotonic()
    said = crystal("build-graphs", "a.cif", "--scheduler", "tcp://127.0.0.1:9", cwd=tmp_path, code=5)
    assert time.monotonic() - began < 20
    assert said == "error: no Dask scheduler answers at tcp://127.0.0.1:9; start one with: dask scheduler\n"
    said = crystal("build-graphs", "a.cif", "--scheduler", "none.json", cwd=tmp_path, code=2)
    assert said.startswith("error: none.json: no such scheduler file")
    said = crystal("build-graphs", "a.cif", "--scheduler", "slurm:short:many", cwd=tmp_path, code=2)
    assert "slurm:QUEUE:JOBS" in said


SBATCH = """#!/bin/bash
cp "$1" "$QUEUE/script-$$"  # the script is removed as soon as this ends
(setsid bash "$QUEUE/script-$$" > "$QUEUE/out-$$" 2>&1 & echo $! > "$QUEUE/$$")
echo $$
"""
SCANCEL = """#!/bin/bash
for job in "$@"; do [ -e "$QUEUE/$job" ] && kill -9 -- -$(cat "$QUEUE/$job") && touch "$QUEUE/cancelled-$job"; done
"""


@pytest.mark.slow
def test_jobs_of_a_slurm_queue_are_started_and_ended(tmp_path, monkeypatch):
    """The queue is a stand-in that runs at once what it is given; dask-jobqueue is the real one."""
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "queue").mkdir()
    monkeypatch.setenv("QUEUE", str(tmp_path / "queue"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    settings = {"cores": 1, "memory": "2GB", "local-directory": str(tmp_path)}
    (tmp_path / "in").mkdir()
    for k in range(5):
        ase.io.write(tmp_path / "in" / f"{k}.cif", ase.build.bulk("Cu", a=3.6 + 0.01 * k))
    words = ("build-graphs", "in", "--targets", "none")
    crystal(*words, "-o", "here.h5", "--jobs", "1", cwd=tmp_path)
    with dask.config.set({f"jobqueue.slurm.{k}": v for k, v in settings.items()}):
        crystal(*words, "-o", "there.h5", "--scheduler", "slurm:short:1", cwd=tmp_path)
    assert (tmp_path / "there.h5").read_bytes() == (tmp_path / "here.h5").read_bytes()
    (script,) = (tmp_path / "queue").glob("script-*")
    assert "#SBATCH -p short" in script.read_text()
    assert " -P -m distributed" in script.read_text(), "jobs begin in the current folder and import nothing from it"
    assert len(list((tmp_path / "queue").glob("cancelled-*"))) == 1


REFUSED = "sbatch: error: invalid partition specified: shrot"


@pytest.mark.parametrize(("there", "said"), [(True, REFUSED), (False, ".* No such file .* 'sbatch'")])
def test_a_queue_that_takes_no_job_is_not_waited_for(there, said, tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    if there:
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\necho '{REFUSED}' >&2\nexit 1\n")
        (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    settings = {"cores": 1, "memory": "2GB", "local-directory": str(tmp_path)}
    with (
        dask.config.set({f"jobqueue.slurm.{k}": v for k, v in settings.items()}),
        pytest.raises(EnvironmentProblem, match=f"^--scheduler slurm:shrot:2: the queue takes no job: {said}$"),
        scheduler_of("slurm:shrot:2"),
    ):
        pytest.fail("there is nobody to work")


@pytest.fixture
def crystals(tmp_path, monkeypatch):
    """A folder of crystals, most of them slow, one of them deadly, one unreadable; as typed from ``tmp_path``."""
    from crystalcli.engine.registry.plugin_manager import registry

    (tmp_path / "moody.py").write_text(moody_plugin(0.03))
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "moody.py"))
    registry.cache_clear()
    (tmp_path / "in").mkdir()
    for k in range(40):
        symbol = "Ag" if k == 20 else "Pt"
        ase.io.write(tmp_path / "in" / f"{k:03d}.cif", ase.build.bulk(symbol, "fcc", a=4.0 + 0.001 * k))
    (tmp_path / "in" / "bad.cif").write_text("data_nothing\n")
    yield tmp_path
    monkeypatch.undo()
    registry.cache_clear()


def test_build_graphs_gives_the_same_bytes_though_a_worker_is_killed(cluster, crystals, monkeypatch):
    monkeypatch.setattr(dask_client, "AHEAD", 1)
    words = ("build-graphs", "in", "--featurizer", "moody", "--targets", "none")
    crystal(*words, "-o", "here.h5", "--jobs", "1", cwd=crystals, code=3)
    seen = []
    original = DaskWorkers.results

    def killing(self, *args, **more):
        for n, one in enumerate(original(self, *args, **more)):
            if n == 5:
                cluster.kill_worker()
            seen.append(one)
            yield one

    monkeypatch.setattr(DaskWorkers, "results", killing)
    crystal(*words, "-o", "there.h5", "--scheduler", cluster.file, cwd=crystals, code=3)
    assert len(seen) == 41
    assert (crystals / "there.h5").read_bytes() == (crystals / "here.h5").read_bytes()
    failures = [(crystals / f"{w}.h5.failures.jsonl").read_text() for w in ("here", "there")]
    assert failures[0] == failures[1]
    assert json.loads(failures[0].splitlines()[0])["code"] == "worker-died"


def test_a_scheduler_that_is_lost_is_one_line_and_the_same_command_goes_on(
    crystals, tmp_path_factory, monkeypatch, capfd
):
    monkeypatch.setattr(dask_client, "AHEAD", 1)
    own = Cluster(tmp_path_factory.mktemp("lost"))
    original = DaskWorkers.results

    def losing(self, *args, **more):
        for n, one in enumerate(original(self, *args, **more)):
            if n == 5:
                own.end()
            yield one

    words = ("build-graphs", "in", "--featurizer", "moody", "--targets", "none", "-o", "there.h5")
    try:
        own.start(1)
        with monkeypatch.context() as patch:
            patch.setattr(DaskWorkers, "results", losing)
            said = crystal(*words, "--scheduler", address(own.file), cwd=crystals, code=5)
    finally:
        own.end()
    where = f"the connection to the Dask scheduler at {address(own.file)} is lost"
    error = f"error: {where}; what is done is safe in there.h5.parts, the same command goes on"
    assert said.splitlines()[-1] == error
    assert capfd.readouterr().err == ""  # the library has no say
    assert list((crystals / "there.h5.parts").glob("*.part"))
    crystal(*words, "--jobs", "1", cwd=crystals, code=3)
    crystal(*words[:-1], "here.h5", "--jobs", "1", cwd=crystals, code=3)
    assert (crystals / "there.h5").read_bytes() == (crystals / "here.h5").read_bytes()


@pytest.mark.slow
def test_relax_gives_the_same_bytes(cluster, tmp_path):
    for k, symbol in enumerate(("Cu", "Al", "Ni", "Pd", "Ag")):
        atoms = ase.build.bulk(symbol, cubic=True)
        atoms.rattle(0.05, seed=k)
        ase.io.write(tmp_path / f"m{k}.extxyz", atoms)
    words = ("relax", "m*.extxyz", "--potential", "emt", "--batch-size", "2", "--fmax", "0.05")
    crystal(*words, "-o", "here", cwd=tmp_path)
    crystal(*words, "-o", "there", "--scheduler", cluster.file, cwd=tmp_path)
    for name in ("relaxed.extxyz", "relaxation.csv"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_predict_gives_the_same_bytes(cluster, crystals):
    small_cache.write(crystals / "graphs.h5")
    small = ("--width", "8", "--hidden", "8", "--n-conv", "1", "--epochs", "1", "--split", "random", "--no-compare")
    crystal("train", "-o", "run", *small, cwd=crystals)
    words = ("predict", "run", "in", "--allow-unseen-elements", "--batch-size", "7")
    crystal(*words, "-o", "here.csv", "--jobs", "1", cwd=crystals, code=3)
    crystal(*words, "-o", "there.csv", "--scheduler", cluster.file, cwd=crystals, code=3)
    for name in ("csv", "failures.jsonl"):
        assert (crystals / f"there.{name}").read_bytes() == (crystals / f"here.{name}").read_bytes()
    assert len((crystals / "there.csv").read_text().splitlines()) == 41


def test_processes_end_with_their_run(cluster):
    (pid,) = [r for _, r in results(cluster, [("pid", 0)]) if isinstance(r, int)]
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
