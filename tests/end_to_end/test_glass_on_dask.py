"""Glasses made by workers: of this machine, and of a Dask cluster one of whose workers is killed; the same bytes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dask_cluster import Cluster, wait_for

from crystalcli.cli.main import run

STAGES = "--melt 2000 --melt-steps 150 --quench-steps 150 --hold-steps 60 --last-steps 40 --frame-every 20"
WORDS = f"glass --grid Cu,Ni,Ag --step 25 --atoms 16 --potential emt {STAGES} --batch-size 1 --threads 1 --quiet"
RUN_FILES = {"config.toml", "log.txt", "run.json", "report.json"}


def glasses(folder: Path, *more: str, code: int = 0) -> None:
    assert run([*WORDS.split(), *more, "-o", str(folder)]) == code


def results(folder: Path) -> dict[str, bytes]:
    """All files but those that name folder and time."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {k: v for k, v in found.items() if k not in RUN_FILES and not Path(k).name.startswith(".")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nobody disturbs."""
    folder = tmp_path_factory.mktemp("glasses") / "whole"
    glasses(folder)
    return folder


@pytest.mark.slow
def test_processes_of_this_machine_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    glasses(tmp_path / "two", "--jobs", "2")
    assert results(tmp_path / "two") == results(whole)
    glasses(tmp_path / "two", "--jobs", "1")  # finished before
    said = (tmp_path / "two" / "log.txt").read_text()
    assert "9 of 9 boxes done" in said
    assert "left" in said


@pytest.mark.slow
def test_a_worker_that_is_killed_under_dask_is_not_missed(
    whole: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed in the middle of a melt, with its nanny: the box goes on elsewhere; each once, the same bytes."""
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "crystalcli", *WORDS.split(), "-o", str(folder), "--scheduler", cluster.file]
    process = None
    try:
        cluster.start(2)
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
        wait_for(lambda: len(list(folder.glob("glasses/*/glass.json"))) > 1, 300.0)
        begun = len(list(folder.glob("glasses/*/glass.json")))
        wait_for(lambda: list(folder.glob("batches/*/0/0-md/run.json")), 300.0)
        cluster.kill_worker()
        assert process.wait(600) == 0
    finally:
        if process is not None:
            process.kill()
        cluster.end()
    assert 1 < begun < 9
    assert results(folder) == results(whole)
    with (folder / "glasses.csv").open() as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert len(ids) == len(set(ids)) == 9
    assert not (folder / "batches").exists()


@pytest.mark.slow
def test_a_run_with_workers_that_is_killed_goes_on_in_one_process(whole: Path, tmp_path: Path) -> None:
    """Where it stood; --jobs and --scheduler are no part of what is asked."""
    command = [sys.executable, "-m", "crystalcli", *WORDS.split(), "-o", "torn", "--jobs", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    wait_for(lambda: len(list(tmp_path.glob("torn/glasses/*/glass.json"))) > 1, 300.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.0)
    assert len(list(tmp_path.glob("torn/glasses/*/glass.json"))) < 9
    glasses(tmp_path / "torn", "--jobs", "1")
    assert results(tmp_path / "torn") == results(whole)
    assert json.loads((tmp_path / "torn" / "report.json").read_text())["boxes"] == 9


@pytest.mark.slow
def test_a_piece_that_no_worker_survives_is_named_and_the_others_are_done(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here one that finds a file in the way of its folder."""
    folder = tmp_path / "run"
    glasses(folder)
    shutil.rmtree(folder / "glasses" / "Cu12Ni4")
    shutil.rmtree(folder / "glasses" / "Cu4Ni12")
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "finished": False}))
    (folder / "batches").mkdir()
    (folder / "batches" / "000000").write_text("in the way")
    capsys.readouterr()
    glasses(folder, "--jobs", "2", code=5)
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert said.endswith("what is done is safe, the same command goes on")
    assert (folder / "glasses" / "Cu4Ni12" / "glass.json").exists()
    (folder / "batches" / "000000").unlink()
    glasses(folder, "--jobs", "2")
    assert results(folder) == results(whole)
