"""Run folders, leaks, time limits, tables, numbers for people, pictures."""

import csv
import io
import json
import multiprocessing
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalcli.engine.data import leaks
from crystalcli.engine.data.splits import made
from crystalcli.engine.drawing import plots
from crystalcli.engine.run.run_folder import RunFolder, point_latest, reserved_folder
from crystalcli.engine.run.stopping import StopSignal, seconds
from crystalcli.vocabulary import tables
from crystalcli.vocabulary.display import shown
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import cell


def test_what_a_program_leaves_that_was_killed_while_it_took_the_lock_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in (".run.lock", ".run.lock.0123456789abcdef", ".run.lock.taken", ".run.json.0123456789abcdef.tmp"):
        (tmp_path / "run" / name).write_text("{}")
    RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".lockfile").write_text("of the user")
    with pytest.raises(UsageError, match="exists"):
        RunFolder.create(tmp_path / "other", overwrite=False, facts={}, config={})


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
    root = tmp_path / "runs"
    with ExitStack() as several:
        made = [several.enter_context(reserved_folder("cgcnn", root)) for _ in range(12)]
        assert len(set(made)) == 12
        assert all(p.is_dir() and "-cgcnn" in p.name for p in made)
        (made[3] / "run.json").write_text("{}")
    assert list(root.iterdir()) == [made[3]]
    with reserved_folder("cgcnn", tmp_path / "others") as empty:
        assert empty.is_dir()
    assert not (tmp_path / "others").exists()
    (tmp_path / "mine").mkdir()
    with reserved_folder("x", tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()


def test_where_no_folder_can_be_made_there_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for root in (tmp_path / "file", tmp_path / "link", tmp_path / "file" / "below"):
        with reserved_folder("nve", root) as folder:
            assert folder.parent == root
            assert not folder.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]


def reserve(root: Path, start: float, queue: Any) -> None:
    time.sleep(max(0.0, start - time.time()))
    with reserved_folder("md", root) as folder:
        RunFolder.create(folder, overwrite=False, facts={"pid": os.getpid()}, config={})
        point_latest(folder)
        queue.put((os.getpid(), str(folder)))


def test_many_at_once_each_have_their_own(tmp_path: Path) -> None:
    """As the jobs of an array that start in the same second."""
    forks = multiprocessing.get_context("fork")
    root, queue, start = tmp_path / "runs", forks.Queue(), time.time() + 0.5
    jobs = [forks.Process(target=reserve, args=(root, start, queue)) for _ in range(50)]
    for job in jobs:
        job.start()
    said = dict(queue.get(timeout=60) for _ in jobs)
    for job in jobs:
        job.join()
    assert len(set(said.values())) == len(said) == 50
    assert all(json.loads((Path(f) / "run.json").read_text())["pid"] == pid for pid, f in said.items())
    assert (root / "latest").resolve() in {Path(f).resolve() for f in said.values()}
    assert len([p for p in root.iterdir() if not p.is_symlink()]) == 50


def test_resumed_metrics_are_cut_where_the_state_is(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    for epoch in (1, 2, 3):
        folder.metric({"epoch": epoch})
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "torn')
    assert folder.trim_metrics(2) == 0
    assert [m["epoch"] for m in folder.metrics()] == [1, 2]


@pytest.mark.parametrize("line", [b"[3]", b'{"a": 1}', b"\xff\xfe", bytes(3), b"", b'{"epoch": 1}', b'{"epoch": null}'])
def test_damaged_metrics_are_counted_and_in_nobodys_way(tmp_path: Path, line: bytes) -> None:
    folder = RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    for epoch in (1, 2, 3):
        folder.metric({"epoch": epoch})
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"epoch": 2}', line))
    assert folder.trim_metrics(3) == 1
    assert [m["epoch"] for m in folder.metrics()] == [1, 3]
    path.unlink()
    assert folder.trim_metrics(3) == 3


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
    with StopSignal().listening() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
    assert StopSignal(limit=0.0).reason() == "the time limit"


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=2, max_size=2), max_size=5
    )
)
def test_csv_reads_back(rows: list[list[str]]) -> None:
    """What a terminal would obey or a spreadsheet calculate is inert, all else comes back as it was."""
    text = tables.csv_text(["a", "b"], rows)
    inert = [[cell(x) for x in row] for row in rows]
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *inert]


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
        plots.parity([tmp_path / f"p{name}.png"], quantity, true, true + 0.01, mae=0.01, title="model", baseline=0.8)
        plots.learning_curve([tmp_path / f"l{name}.png"], rows, {quantity: {"mean": 0.5}}, title="model", best_epoch=3)
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
