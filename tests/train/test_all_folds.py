"""All folds in one command: every structure is tested once; mean and spread over the folds."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from common import small_cache

from crystalcli.cli.main import run

LINE = ["train", "graphs.h5", "--folds", "3", "--epochs", "1", "--threads", "1", "-o", "run", "--quiet"]


def test_every_structure_is_tested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_cache.write(tmp_path / "graphs.h5")
    assert run([*LINE, "--all-folds"]) == 0
    report = json.loads(Path("run/report.json").read_text())
    folds = [json.loads(Path(f"run/fold-{k}/report.json").read_text()) for k in range(3)]
    (name,) = report["test"]
    rows = [f["test"][name] for f in folds]
    parts = [set(json.loads(Path(f"run/fold-{k}/splits.json").read_text())["test"]) for k in range(3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == report["test"][name]["model"]["n"] == 42
    for found, many in (
        (report["test"][name]["model"]["mae"], [r["model"]["mae"] for r in rows]),
        (report["test"][name]["baselines"]["mean"]["mae"], [r["baselines"]["mean"]["mae"] for r in rows]),
    ):
        assert len(set(many)) == 3
        assert found["mean"] == pytest.approx(statistics.fmean(many))
        assert found["std"] == pytest.approx(statistics.stdev(many))
    assert len(report["split"]) == 3
    alone = ["-c", "run/fold-1/config.toml", "train", "-o", "alone", "--quiet"]
    assert run([*alone[2:], *alone[:2]]) == 0
    assert json.loads(Path("alone/report.json").read_text())["test"][name]["model"] == rows[1]["model"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--folds", "0"], "--all-folds needs their number: --folds 5"),
        (["--fold", "1"], "--all-folds and --fold do not go together"),
        (["--seeds", "2"], "--all-folds and --seeds do not go together"),
        (["--ensemble", "2"], "--all-folds and --ensemble do not go together"),
        (["--learning-curve", "9,18"], "--all-folds and --learning-curve do not go together"),
    ],
)
def test_what_contradicts_all_folds_is_refused(more: list[str], reason: str, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*LINE, "--all-folds", *more]) == 2
    assert reason in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
