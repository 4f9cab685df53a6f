"""Run folders, leaks, time limits, tables, numbers for people, pictures."""

import csv
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.mechanisms.datasets import leaks
from crystalcli.mechanisms.datasets.splits import made
from crystalcli.mechanisms.drawing import plots
from crystalcli.mechanisms.running import tables
from crystalcli.mechanisms.running.display import shown
from crystalcli.mechanisms.running.run_folder import RunFolder, default_folder, point_latest
from crystalcli.mechanisms.running.stopping import Stop, seconds
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def test_a_run_folder_is_never_overwritten_unasked(tmp_path: Path) -> None:
    folder = RunFolder.create(
        tmp_path / "run", overwrite=False, facts={"seed": 0}, config={"train": {"lr": 0.1, "x": None}}
    )
    folder.metric({"epoch": 1, "loss": float("nan")})
    folder.log("hello")
    folder.finish(0, ["b", "a"])
    with pytest.raises(UsageError, match="--overwrite"):
        RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["exit_code"], record["outputs"], record["seed"]) == (0, ["a", "b"], 0)
    assert (tmp_path / "run" / "config.toml").read_text() == "[train]\nlr = 0.1\n"
    assert folder.metrics() == [{"epoch": 1, "loss": None}]
    (tmp_path / "run" / "mine.txt").write_text("mine")
    RunFolder.create(tmp_path / "run", overwrite=True, facts={}, config={})
    assert (tmp_path / "run" / "mine.txt").exists()
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_folder_of_others_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="other files"):
        RunFolder.create(tmp_path, overwrite=True, facts={}, config={})
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "thesis.tex", overwrite=True, facts={}, config={})


def test_default_folders_differ(tmp_path: Path) -> None:
    first = default_folder("cgcnn", tmp_path)
    first.mkdir()
    assert default_folder("cgcnn", tmp_path) != first


def test_resumed_metrics_are_cut_where_the_state_is(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    for epoch in (1, 2, 3):
        folder.metric({"epoch": epoch})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "torn')
    folder.trim_metrics(2)
    assert [m["epoch"] for m in folder.metrics()] == [1, 2]


def test_leaks_are_found_between_every_two_parts() -> None:
    split = made(np.array([0, 1]), np.array([2]), np.array([3, 4]), "by hand")
    ids = list("abcde")
    formula = leaks.numbered(["NaCl", "KCl", "NaCl", "MgO", "KCl"])
    copies = leaks.numbered(np.array([[1, 2], [3, 4], [5, 6], [5, 6], [7, 8]], dtype=np.uint8))
    found = {
        (x.kind, *x.parts): (x.n, x.example) for x in leaks.find(split, ids, {"formula": formula, "structure": copies})
    }
    assert found == {
        ("formula", "train", "val"): (1, "c"),
        ("formula", "train", "test"): (1, "e"),
        ("structure", "val", "test"): (1, "d"),
    }


@pytest.mark.parametrize(
    ("text", "expected"), [("90m", 5400), ("1h30m", 5400), ("600", 600), ("1.5s", 1.5), ("2d", 172800)]
)
def test_times_read_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text) == expected
    assert seconds("") == float("inf")


@pytest.mark.parametrize("text", ["soon", "-5", "0", "5 m", "m5", "1h-5m"])
def test_strange_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)


def test_signals_are_heard_once_and_stop_at_the_second() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop().listening() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    assert Stop(limit=0.0).reason() == "the time limit"


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=2, max_size=2), max_size=5
    )
)
def test_csv_reads_back(rows: list[list[str]]) -> None:
    text = tables.csv_text(["a", "b"], rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *rows]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0452, "eV/atom", "45.2 meV/atom"),
        (0.97, "eV/atom", "0.97 eV/atom"),
        (0.0000123, "eV/atom", "0.0123 meV/atom"),
        (0.0, "eV/atom", "0 eV/atom"),
        (12.3456, "", "12.35"),
        (1e-7, "Å", "1.000e-07 Å"),
    ],
)
def test_numbers_for_people(value: float, unit: str, text: str) -> None:
    assert shown(value, Quantity("x", unit)) == text


@pytest.mark.parametrize("n", [1, 50, 3000])
def test_pictures_are_drawn_the_same_twice(tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=n)
    quantity = Quantity("energy_per_atom", "eV/atom")
    rows = [
        {"epoch": k, "train_loss": 1 / k, "val_score": 1 / k, "val": {quantity.name: {"mae": 0.1 / k}}}
        for k in range(1, 4)
    ]
    for name in "ab":
        plots.parity(tmp_path / f"p{name}.png", quantity, true, true + 0.01, mae=0.01, title="model", baseline=0.8)
        plots.learning_curve(tmp_path / f"l{name}.png", rows, {quantity: {"mean": 0.5}}, title="model", best_epoch=3)
    for kind in "pl":
        first = (tmp_path / f"{kind}a.png").read_bytes()
        assert first.startswith(b"\x89PNG")
        assert first == (tmp_path / f"{kind}b.png").read_bytes()


def test_latest_leads_to_the_newest_run_and_never_replaces_what_is_no_link(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert point_latest(tmp_path / name) == tmp_path / "latest"
        assert (tmp_path / "latest").resolve() == tmp_path / name
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "mine").touch()
    assert point_latest(tmp_path / "a") is None
    assert (tmp_path / "latest" / "mine").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "latest"]
