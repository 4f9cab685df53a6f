"""``torchrun … crystal train``: two processes end where one does, stop and go on together; only the first writes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from common import small_cache

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "localhost:0", "-m", "crystalcli"]
CRYSTAL = [sys.executable, "-m", "crystalcli"]
TRAIN = ["train", "--width", "8", "--n-conv", "1", "--hidden", "8", "--batch-size", "8", "--threads", "1"]
TRAIN += ["--split", "random", "--ema", "0.9", "--seed", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache."""
    path = tmp_path_factory.mktemp("torchrun")
    small_cache.write(path / "graphs.h5")
    return path


def call(line: list[str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*line, *words], cwd=cwd, capture_output=True, text=True, timeout=240)


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(x) for x in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_end_where_one_does(folder: Path) -> None:
    one = call(CRYSTAL, *TRAIN, "--epochs", "4", "-o", "one", cwd=folder)
    assert one.returncode == 0, one.stderr
    two = call(TORCHRUN, *TRAIN, "--epochs", "4", "-o", "two", cwd=folder)
    assert two.returncode == 0, two.stderr
    rows = [metrics(folder / name) for name in ("one", "two")]
    assert [r["epoch"] for r in rows[1]] == [1, 2, 3, 4]
    for name in ("train_loss", "val_score"):
        a, b = (np.array([r[name] for r in some]) for some in rows)
        np.testing.assert_allclose(b, a, rtol=2e-3)
    record = json.loads((folder / "two" / "run.json").read_text())
    assert (record["processes"], record["exit_code"]) == (2, 0)
    assert two.stdout.count("epoch 4/4") == 1
    reports = [json.loads((folder / name / "report.json").read_text()) for name in ("one", "two")]
    maes = [r["test"]["energy_per_atom"]["model"]["mae"] for r in reports]
    assert maes[1] == pytest.approx(maes[0], rel=5e-3)


@pytest.mark.slow
def test_a_signal_stops_all_and_both_go_on(folder: Path) -> None:
    words = [*TRAIN, "--epochs", "30"]
    running = subprocess.Popen(
        [*TORCHRUN, *words, "-o", "cut"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 120
    while not (folder / "cut" / "metrics.jsonl").exists() and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=60)
    assert "go on with: crystal train --resume cut" in said
    assert "Traceback" not in said.partition("torch")[0]
    record = json.loads((folder / "cut" / "run.json").read_text())
    assert record["exit_code"] == 75
    assert len(metrics(folder / "cut")) < 30
    again = call(TORCHRUN, "train", "--resume", "cut", cwd=folder)
    assert again.returncode == 0, again.stderr
    whole = call(TORCHRUN, *words, "-o", "whole", cwd=folder)
    assert whole.returncode == 0, whole.stderr
    assert (folder / "cut" / "model.safetensors").read_bytes() == (folder / "whole" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_what_several_processes_cannot_do_is_one_line(folder: Path) -> None:
    done = call(TORCHRUN, *TRAIN, "--epochs", "1", "--ensemble", "2", "-o", "many", cwd=folder)
    assert done.returncode != 0
    errors = [x for x in done.stderr.splitlines() if x.startswith("error:")]
    assert errors
    assert all("torchrun trains one model" in x for x in errors)
    assert not (folder / "many").exists()


def test_torchrun_is_not_taken_for_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    from crystalcli.train.processes import ALONE, started_by_torchrun

    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # of an MPI launcher, say
    assert started_by_torchrun() == ALONE
    assert os.environ["WORLD_SIZE"] == "4"
