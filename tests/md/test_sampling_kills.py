"""``kill -9`` at any time: the resumed run has the bytes of the uninterrupted one."""

import os
import random
import time
from pathlib import Path

import ase.build
import ase.io
import pytest
import torch
from common.failing_writes import killed_after

from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.run.run_folder import RunFolder
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD

KILLS = int(os.environ.get("CRYSTAL_KILLS", "25"))
"""Of each sampler."""


def asked(folder: Path, output: str, sampler: str) -> Request:
    options = MdOptions(
        structures=tuple(str(folder / f"{n}.extxyz") for n in ("Cu", "Ag")),
        potential="emt",
        sampler=sampler,
        temperature="300:700@60,500@40",
        steps=100,
        dt=2.0,
        log_every=3,
        frame_every=1,
        checkpoint_every=0.1,
        seed=5,
    )
    return Request(options, path=folder / output)


def results(run: Path) -> dict[str, bytes]:
    """Everything that a run says of nature, and its last restart record."""
    kept = [p for p in run.rglob("*") if p.suffix in (".extxyz", ".csv", ".png")]
    kept += [sorted(run.glob("state-*.safetensors"))[-1]]
    return {str(p.relative_to(run)): p.read_bytes() for p in kept}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("sampler", ["langevin", "npt"])
def test_random_kills(tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crystalcli.md.records.CHUNK_FRAMES", 12)
    torch.set_num_threads(1)
    ase.io.write(tmp_path / "Cu.extxyz", ase.build.bulk("Cu", cubic=True))
    ase.io.write(tmp_path / "Ag.extxyz", ase.build.bulk("Ag") * (2, 2, 1))
    made = asked(tmp_path, "whole", sampler)
    start = time.monotonic()
    assert not killed_after(1e9, lambda: life.run(MD, made))
    length = time.monotonic() - start
    whole = results(tmp_path / "whole")
    assert sum(name.endswith("trajectory.extxyz") for name in whole) == 2
    rng, hits, runs = random.Random(sampler), 0, 0
    while hits < KILLS:
        runs += 1
        run = tmp_path / f"run{runs}"
        here = asked(tmp_path, run.name, sampler)
        killed = killed_after(rng.uniform(0.0, 1.0) * length, lambda here=here: life.run(MD, here))
        if killed and not (run / "run.json").exists():
            continue  # killed before the run began: nothing to go on with
        while killed:
            hits += 1
            if RunFolder.read(run)["exit_code"] == 0:
                break  # killed after the end
            after = rng.uniform(0.0, 1.0) * length if rng.random() < 0.4 else 1e9
            killed = killed_after(after, lambda run=run: life.resume(MD, run, {}))
        found = results(run)
        assert found.keys() == whole.keys()
        assert [n for n in whole if found[n] != whole[n]] == []
    print(f"{sampler}: {hits} kills in {runs} runs, all identical")
