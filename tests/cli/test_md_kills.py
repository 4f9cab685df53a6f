"""``kill -9`` at any time: the resumed run has the bytes of the uninterrupted one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.build
import ase.io
import pytest

CRYSTAL = [sys.executable, "-m", "crystalcli"]
KILLS = int(os.environ.get("CRYSTAL_KILLS", "20"))
LINE = ["Cu.extxyz", "Ag.extxyz", "--potential", "emt", "--sampler", "langevin", "--temperature", "300:700@60,500"]
LINE += ["--steps", "100", "--dt", "2", "--frame-every", "1", "--log-every", "3", "--checkpoint-every", "0.2"]
LINE += ["--threads", "1", "--seed", "5", "--quiet"]


def write_structures(folder: Path) -> None:
    ase.io.write(folder / "Cu.extxyz", ase.build.bulk("Cu", cubic=True))
    ase.io.write(folder / "Ag.extxyz", ase.build.bulk("Ag"))


def results(run: Path) -> dict[str, bytes]:
    """Everything that a run says of nature, and its last restart record."""
    kept = [p for p in run.rglob("*") if p.suffix in (".extxyz", ".csv", ".png")]
    kept += [sorted(run.glob("state-*.safetensors"))[-1]]
    return {str(p.relative_to(run)): p.read_bytes() for p in kept}


def killed(args: list[str], cwd: Path, after: float) -> bool:
    """Start, kill after some seconds; whether it was still running."""
    process = subprocess.Popen([*CRYSTAL, "md", *args], cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(after)
    running = process.poll() is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def resume_until_done(run: str, cwd: Path) -> None:
    done = subprocess.run([*CRYSTAL, "md", "--resume", run, "--quiet"], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["langevin", "npt"])
def test_random_kills(tmp_path: Path, sampler: str) -> None:
    write_structures(tmp_path)
    line = [sampler if w == "langevin" else w for w in LINE]
    start = time.monotonic()
    subprocess.run([*CRYSTAL, "md", *line, "-o", "whole"], cwd=tmp_path, check=True)
    length = time.monotonic() - start
    whole = results(tmp_path / "whole")
    assert any(name.endswith("trajectory.extxyz") for name in whole)
    rng, hits, k = random.Random(sampler), 0, 0
    while hits < KILLS // 2:
        k += 1
        run = f"run{k}"
        if not killed([*line, "-o", run], tmp_path, rng.uniform(0.35, 0.95) * length):
            continue
        if not (tmp_path / run / "run.json").exists():
            continue  # killed before the run began: nothing to go on with
        hits += 1
        while rng.random() < 0.3 and killed(["--resume", run, "--quiet"], tmp_path, rng.uniform(0.35, 0.9) * length):
            hits += 1
        resume_until_done(run, tmp_path)
        found = results(tmp_path / run)
        assert found.keys() == whole.keys()
        assert [n for n in whole if found[n] != whole[n]] == []
    print(f"{hits} kills, all identical")
