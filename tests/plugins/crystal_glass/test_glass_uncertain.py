"""Frames that an ensemble is not sure of are kept: those above the limit, each once, apart, of stopped boxes too."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from crystal_glass.uncertain import Uncertain

from crystalcli.cli.main import run
from crystalcli.engine.potential import potentials

WORDS = "Si --atoms 16 --potential sw --melt-steps 60 --quench-steps 100 --hold-steps 60 --frame-every 10"


class Doubting:
    """A potential whose sigma is what its energy is away from −4 eV an atom."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.provides = inner, inner.provides | {"sigma"}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def evaluate(self, systems: Any, **more: Any) -> Any:
        found = self.inner.evaluate(systems, **more)
        return dataclasses.replace(found, sigma=(found.energy + 4.0 * systems.atom_counts).abs())


@pytest.fixture
def doubting(monkeypatch: pytest.MonkeyPatch) -> None:
    made = potentials.of_calculator
    monkeypatch.setattr(potentials, "of_calculator", lambda *a, **k: Doubting(made(*a, **k)))


@pytest.mark.usefixtures("doubting")
def test_frames_above_the_limit_are_kept_once_and_apart(tmp_path: Path) -> None:
    some = "--relax none --label-above 300 --label-apart 30 --replicas 2 --quiet"
    assert run(["glass", *WORDS.split(), *some.split(), "-o", str(tmp_path / "run")]) == 0
    with (tmp_path / "run" / "glasses.csv").open() as file:
        rows = list(csv.DictReader(file))
    whole = ase.io.read(tmp_path / "run" / "to-label.extxyz", ":")
    assert len({a.info["id"] for a in whole}) == len(whole) == sum(int(r["to_label"]) for r in rows)
    assert json.loads((tmp_path / "run" / "report.json").read_text())["to_label"] == len(whole) > 2
    at = 0
    for row in rows:
        frames = ase.io.read(tmp_path / "run" / "glasses" / row["id"] / "trajectory.extxyz", ":")
        sigma = np.array([a.info["energy_sigma"] / 16 for a in frames])
        expected, last = [], -30
        for step in range(0, 221, 10):
            if sigma[step // 10] > 0.3 and step >= last + 30:
                expected.append(step)
                last = step
        assert 0 < len(expected) < (sigma > 0.3).sum()
        for step in expected:
            kept = whole[at]
            assert kept.info["id"] == f"{row['id']}-0-{step}"
            assert kept.info["energy_sigma"] == pytest.approx(16 * sigma[step // 10])
            assert np.abs(kept.positions - frames[step // 10].positions).max() < 1e-9
            assert kept.cell.array.tolist() == frames[step // 10].cell.array.tolist()
            assert kept.calc is None  # what the ensemble says of it is no label
            at += 1
    assert at == len(whole)


@pytest.mark.usefixtures("doubting")
def test_boxes_that_were_stopped_are_to_be_labelled_too(tmp_path: Path) -> None:
    some = "--relax none --label-above 1 --closest 0.97 --retries 1 --quiet"
    assert run(["glass", *WORDS.split(), *some.split(), "-o", str(tmp_path / "run")]) == 4
    names = [a.info["id"] for a in ase.io.read(tmp_path / "run" / "to-label.extxyz", ":")]
    assert {name.rsplit("-", 1)[0] for name in names} == {"Si16-0", "Si16-1"}  # of both beginnings
    with (tmp_path / "run" / "glasses.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["status"], row["to_label"]) == ("failed", str(len(names)))


def test_a_potential_without_a_spread_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["glass", *WORDS.split(), "--label-above", "5", "-o", str(tmp_path / "run")]) == 2
    assert "--label-above needs the sigma of an ensemble; sw gives none" in capsys.readouterr().err


def test_runs_of_one_beginning_follow_each_other(tmp_path: Path) -> None:
    """The end of a run is the beginning of the next, and counts once."""
    text = '1\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 energy=0 step={} time_fs=0 temperature=9 '
    text += 'energy_sigma={} pbc="T T T"\nCu 0.5 1.0 2.0 0 0 0\n'
    (tmp_path / "a").write_text("".join(text.format(step, 0.2) for step in (0, 10, 20)))
    (tmp_path / "b").write_text("".join(text.format(step, sigma) for step, sigma in ((0, 0.2), (10, 0.05), (20, 0.2))))
    one = Uncertain("x", 0.1, 10)
    one.read(tmp_path / "a", 20)
    one.read(tmp_path / "b", 20)
    assert [t.split('id="', 1)[1].split('"')[0] for t in one.kept] == ["x-0", "x-10", "x-20", "x-40"]
    assert one.kept[0].endswith("\nCu 0.5 1.0 2.0\n")
