"""Files are written under names that nobody foresees, through no link, and the dead's are cleared, not the living's."""

import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from crystalcli.engine.run import files, owners
from crystalcli.engine.run.locks import locked
from crystalcli.engine.run.run_folder import RunFolder, point_latest
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's file, which nothing may change."""
    path = tmp_path / "elsewhere" / "victim.txt"
    path.parent.mkdir()
    path.write_text("precious")
    return path


def by_name(path: Path) -> None:
    with files.replacing(path) as temporary:
        temporary.write_bytes(b"new")


def by_hdf5(path: Path) -> None:
    with files.replacing(path) as temporary, h5py.File(temporary, "w", locking=False) as h:
        h["a"] = 1


def by_handle(path: Path) -> None:
    files.write_bytes(path, b"new")


WAYS = (by_name, by_handle, by_hdf5)


@pytest.mark.parametrize("write", WAYS)
def test_names_that_were_foreseen_before_are_of_no_use(tmp_path: Path, victim: Path, write: Callable) -> None:
    target = tmp_path / "w" / "p.csv"
    target.parent.mkdir()
    for name in (f".p.csv.{os.getpid()}.tmp", "p.csv.tmp", ".p.csv.tmp", ".p.csv.lock.0"):
        (target.parent / name).symlink_to(victim)
    write(target)
    assert victim.read_text() == "precious"
    assert stat.S_ISREG(target.lstat().st_mode)
    assert [p.name for p in target.parent.iterdir() if p.name.endswith(".tmp") and not p.is_symlink()] == []


@pytest.mark.parametrize("write", WAYS)
def test_a_name_that_is_guessed_is_refused(
    tmp_path: Path, victim: Path, write: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.secrets, "token_hex", lambda _n: "0123456789abcdef")
    (tmp_path / ".p.csv.0123456789abcdef.tmp").symlink_to(victim)
    with pytest.raises(EnvironmentProblem, match="File exists"):
        write(tmp_path / "p.csv")
    assert victim.read_text() == "precious"
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("way", ["name", "handle"])
def test_a_name_that_is_taken_away_while_it_is_written(tmp_path: Path, victim: Path, way: str) -> None:
    """Who may write in the folder may rename in it: not through us into another's file."""
    target = tmp_path / "w" / "p.csv"
    target.parent.mkdir()

    def write() -> None:
        with (files.replacing if way == "name" else files.writing)(target) as given:
            (temporary,) = target.parent.glob(".p.csv.*.tmp")
            temporary.unlink()
            temporary.symlink_to(victim)
            if way == "name":
                with given.open("r+b") as file:
                    file.write(b"new")
            else:
                given.write(b"new")

    with pytest.raises(EnvironmentProblem, match="another program put its file"):
        write()
    assert victim.read_text() == "precious"
    assert not target.exists()


@pytest.mark.parametrize("leads_to", ["victim", "nowhere"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_is_a_link_is_refused_and_named(
    tmp_path: Path, victim: Path, leads_to: str, overwrite: bool
) -> None:
    link = tmp_path / "p.csv"
    link.symlink_to(victim if leads_to == "victim" else tmp_path / "nowhere")
    with pytest.raises(UsageError, match=f"is a link to .*{leads_to}.*; crystal writes through no link"):
        files.refuse_to_overwrite(link, overwrite)


def test_what_is_no_file_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for path, word in ((tmp_path / "fifo", "FIFO"), (Path("/dev/null"), "device"), (tmp_path / "folder", "folder")):
        with pytest.raises(UsageError, match=word):
            files.refuse_to_overwrite(path, overwrite=True)
    with pytest.raises(EnvironmentProblem, match="FIFO"):
        files.write_text(tmp_path / "fifo", "new")
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    files.refuse_to_overwrite(tmp_path / "new" / "file", overwrite=False)


def test_a_link_in_the_place_of_a_file_is_replaced_and_said(tmp_path: Path, victim: Path) -> None:
    link = tmp_path / "report.json"
    link.symlink_to(victim)
    with pytest.warns(UserWarning, match=r"report.json: was a link to .*victim.txt; a file is in its place now"):
        files.write_text(link, "new")
    assert (link.read_text(), link.is_symlink(), victim.read_text()) == ("new", False, "precious")


def test_a_file_that_grows_is_no_link_and_keeps_other_names_as_they_are(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "log.txt").symlink_to(victim)
    with pytest.raises(EnvironmentProblem, match=r"is a link to .*victim\.txt"):
        files.append(tmp_path / "log.txt", b"line\n")
    (tmp_path / "metrics.jsonl").hardlink_to(victim)
    files.append(tmp_path / "metrics.jsonl", b" line")
    files.append(tmp_path / "metrics.jsonl", b" line")
    assert (tmp_path / "metrics.jsonl").read_text() == "precious line line"
    with files.afresh(tmp_path / "log.txt") as log:
        log.write(b"mine")
    assert (tmp_path / "log.txt").read_text() == "mine"
    assert victim.read_text() == "precious"


def test_the_dead_are_cleared_and_the_living_are_not(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    dead = files.unforeseen(path)
    dead.write_text("left by a program that was killed")
    others = [files.unforeseen(tmp_path / n) for n in ("p.csv.gz", "q.csv", "p")] + [tmp_path / ".p.csv.mine.tmp"]
    for other in others:
        other.write_text("of others")
    with files.writing(path) as file:
        file.write(b"new")
        with locked(path):
            assert not dead.exists()
            assert len(list(tmp_path.glob(".p.csv.*.tmp"))) == 3, "the one in use, that of p.csv.gz and one of no kind"
    assert path.read_bytes() == b"new"
    assert all(p.exists() for p in others)


def test_what_is_in_its_place_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader may come in the moment after the rename, and HDF5 locks what it reads."""
    path, sync, seen = tmp_path / "a.h5", files.sync, []

    def read(folder: Path) -> None:
        with h5py.File(path, "r") as h:
            seen.append(int(h["a"][()]))
        sync(folder)

    monkeypatch.setattr(files, "sync", read)
    by_hdf5(path)
    assert seen == [1]


def test_without_locks_of_the_kernel_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> None:
        raise OSError(38, "no locks here")

    monkeypatch.setattr(owners.fcntl, "flock", no)
    path = tmp_path / "p.csv"
    young, old = files.unforeseen(path), files.unforeseen(path)
    young.touch()
    old.touch()
    os.utime(old, (1.0, 1.0))
    files.clear_dead(path)
    assert (young.exists(), old.exists()) == (True, False)


def test_long_names_of_any_letters_fit(tmp_path: Path) -> None:
    path = tmp_path / ("結" * 82 + ".csv")
    with locked(path):
        files.write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("what", ["link", "dangling", "fifo", "device"])
def test_what_stands_in_the_place_of_a_lock_is_said(tmp_path: Path, victim: Path, what: str) -> None:
    lock = tmp_path / ".p.csv.lock"
    if what == "fifo":
        os.mkfifo(lock)
    else:
        lock.symlink_to({"link": victim, "dangling": tmp_path / "nowhere", "device": Path("/dev/zero")}[what])
    with pytest.raises(EnvironmentProblem, match="in the place of a lock"), locked(tmp_path / "p.csv"):
        pass
    assert victim.read_text() == "precious"
    assert os.path.lexists(lock)


def test_a_run_folder_that_is_a_link_is_said_and_links_in_it_are_no_files_of_the_run(
    tmp_path: Path, victim: Path
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    with pytest.warns(UserWarning, match=r"run is a link; the run is written to .*/disk"):
        RunFolder.create(tmp_path / "run", overwrite=False, facts={}, config={})
    for name in ("log.txt", "metrics.jsonl", "predictions.csv"):
        (tmp_path / "disk" / name).symlink_to(victim if name != "log.txt" else tmp_path / "nowhere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = RunFolder.create(tmp_path / "run", overwrite=True, facts={}, config={})
    folder.log("begun")
    folder.metric({"epoch": 1})
    assert point_latest(folder.path) == tmp_path / "latest"
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "disk" / "log.txt").is_symlink()
