"""Ten thousand damaged CIFs of real crystals on the command line, and thirty thousand sound ones."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damage import damaged

from crystalcli.engine.cache.cache import GraphCache

COUNT = 10_000
SECONDS = 5


def folder_of_data() -> Path:
    folder = Path(os.environ.get("CRYSTAL_DATA", ".")) / "mp-formation-energy"
    if not folder.exists():
        pytest.skip("needs mp-formation-energy in the folder that CRYSTAL_DATA names")
    return folder


def crystal(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "crystal")
    return subprocess.run(
        [program, *words], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 3])
def test_damaged(tmp_path: Path, most: int) -> None:
    with gzip.open(folder_of_data() / "test.csv.gz", "rt", encoding="utf-8") as file:
        texts = [row["cif"] for row, _ in zip(csv.DictReader(file), range(2000), strict=False)]
    rng = np.random.default_rng(most)
    (tmp_path / "data").mkdir()
    for k in range(COUNT):
        (tmp_path / "data" / f"{k}.cif").write_bytes(damaged(texts[k % len(texts)], rng, most))
    run = crystal(["build-graphs", "data", "--targets", "none", "--seconds-per-file", str(SECONDS)], tmp_path)
    assert run.returncode == 3, run.stderr[-1000:]
    assert "Traceback" not in run.stderr + run.stdout
    rows = [json.loads(line) for line in (tmp_path / "graphs.h5.failures.jsonl").read_text().splitlines()]
    assert all(row["path"].startswith("data/") and row["reason"] for row in rows)
    assert not {row["code"] for row in rows} & {"reader-error", "worker-died", "timeout", ""}
    built = {Path(s.split(":")[0]).name for s in GraphCache(tmp_path / "graphs.h5").sources}
    refused = {Path(row["path"].split(":")[0]).name for row in rows}
    assert built | refused == {f"{k}.cif" for k in range(COUNT)}
    assert min(len(built), len(refused)) > COUNT / 20, "damage should break some and spare some"


@pytest.mark.slow
def test_no_false_alarm(tmp_path: Path) -> None:
    tables = [str(folder_of_data() / f"{part}.csv.gz") for part in ("train", "val", "test")]
    run = crystal(["build-graphs", *tables, "--targets", "formation_energy_per_atom"], tmp_path)
    assert run.returncode == 0, run.stderr[-1000:]
    assert "30000 ok, 0 warned, 0 failed" in run.stdout + run.stderr
