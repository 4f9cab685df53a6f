"""The whole corpus of odd files on the command line: no traceback, the right exit code, every bad file named."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from corpus import CASES, make

MAX_LINE = 300
SHOWN = 100
"""Errors of inputs that are shown one by one."""


def crystal(words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "crystal")
    return subprocess.run(
        [program, *words], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "data").mkdir()
    make(folder / "data")
    return folder


def test_whole_corpus(folder: Path) -> None:
    paths = [f"data/{p.name}" for p in sorted((folder / "data").iterdir())]
    run = crystal(["build-graphs", *paths, "--targets", "none", "-o", "all.h5"], folder)
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    refused = [c for c in CASES if c.verdict == "refused"]
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert all(len(line) <= MAX_LINE + len("error: ") for line in errors)
    assert all(line.startswith("error: data/") for line in errors[:SHOWN])
    rows = [json.loads(line) for line in (folder / "all.h5.failures.jsonl").read_text().splitlines()]
    assert errors[SHOWN:] == [f"error: {len(rows) - SHOWN} more inputs failed; see all.h5.failures.jsonl"]
    assert all(row["path"] and row["code"] and row["reason"] and row["stage"] == "read" for row in rows)
    assert [f"error: {row['path']}: {row['reason']}"[:40] for row in rows[:SHOWN]] == [e[:40] for e in errors[:SHOWN]]
    for case in refused:
        mine = [row for row in rows if row["path"].split(":")[0] == f"data/{case.name}"]
        assert mine, case.name
        assert any(case.says in row["reason"] for row in mine), (case.says, mine)
    assert {row["path"].split(":")[0] for row in rows} == {f"data/{c.name}" for c in refused}
    assert sorted(p.name for p in folder.iterdir()) == ["all.h5", "all.h5.failures.jsonl", "data"], "a file ran code"


@pytest.mark.parametrize("name", ["truncated.cif", "POSCAR_vasp4", "fifo.cif", "bomb.cif.gz"])
def test_one_bad_file_alone(folder: Path, tmp_path: Path, name: str) -> None:
    run = crystal(["build-graphs", str(folder / "data" / name)], tmp_path)
    assert run.returncode == 4
    assert f"error: {folder / 'data' / name}" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "graphs.h5").exists()


def test_label_problems_stop_before_anything_is_written(tmp_path: Path) -> None:
    make_good = {c.name: c for c in CASES}
    (tmp_path / "a.cif").write_text(str(make_good["good_crlf.cif"].content.decode()))  # type: ignore[union-attr]
    (tmp_path / "id_prop.csv").write_text("a,1.0\nb,zero\n")
    run = crystal(["build-graphs", "a.cif"], tmp_path)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1), run.stderr
    assert run.stderr.startswith("error: id_prop.csv:2: 'zero' is not a number")
    (tmp_path / "id_prop.csv").write_text("a,1.0\nb,0\n")
    run = crystal(["build-graphs", "a.cif", "--targets", "gap"], tmp_path)
    assert run.returncode == 2
    assert "no structure has a label 'gap'" in run.stderr
    assert "target (1)" in run.stderr
    assert not (tmp_path / "graphs.h5").exists()
    run = crystal(["build-graphs", "a.cif"], tmp_path)
    assert run.returncode == 0, run.stderr
    assert "labels from id_prop.csv: 2 rows, quantity 'target'" in run.stdout + run.stderr
    assert "'b' on line 2" in run.stdout + run.stderr
