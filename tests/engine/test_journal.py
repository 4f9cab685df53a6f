"""A journal forgets nothing that counted, and counts nothing that is torn, damaged, twice there or another run's."""

import os
from pathlib import Path

import pytest
from common.failing_writes import nth_write

from crystalcli.engine.run.journal import Journal
from crystalcli.vocabulary.errors import EnvironmentProblem


def written(path: Path) -> bytes:
    journal = Journal(path, "run")
    for k in range(5):
        journal.add(f"item {k}\nµ", {"energy": 0.1 + k, "line\nend": [k, None]})
    return path.read_bytes()


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    written(tmp_path / "j")
    again = Journal(tmp_path / "j", "run")
    assert len(again) == 5
    assert again["item 3\nµ"] == {"energy": 3.1, "line\nend": [3, None]}


def test_torn_at_every_byte(tmp_path: Path) -> None:
    """Cut anywhere, the whole lines count, and going on gives the bytes of the uninterrupted journal."""
    whole = written(tmp_path / "whole")
    for cut in range(len(whole)):
        path = tmp_path / "torn"
        path.write_bytes(whole[:cut])
        assert len(Journal(path, "run")) == whole[:cut].count(b"\n")
        assert written(path) == whole


def test_damaged_lines_other_runs_and_second_results_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = written(path).splitlines(keepends=True)
    other = tmp_path / "other"
    Journal(other, "older").add("item 0\nµ", "wrong")
    path.write_bytes(
        other.read_bytes()
        + lines[0]
        + lines[0]
        + lines[1].replace(b"1.1", b"1.2")
        + b"nonsense\n"
        + b"".join(lines[2:])
    )
    journal = Journal(path, "run")
    assert journal.dropped == 3
    assert "item 1\nµ" not in journal
    assert journal["item 0\nµ"]["energy"] == 0.1
    assert len(journal) == 4
    journal.add("item 0\nµ", "second")
    assert Journal(path, "run")["item 0\nµ"]["energy"] == 0.1


def test_only_what_is_missing_is_done(tmp_path: Path) -> None:
    done = []

    def square(missing):
        for key, k in missing:
            done.append(k)
            yield key, k * k

    def keyed(n):
        return [(str(k), k) for k in range(n)]

    assert Journal(tmp_path / "j", "r").work(keyed(3), square) == [0, 1, 4]
    assert Journal(tmp_path / "j", "r").work(keyed(5), square) == [0, 1, 4, 9, 16]
    assert done == [0, 1, 2, 3, 4]


def test_a_full_disk_is_an_environment_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.jsonl", "r")
    with monkeypatch.context() as patch:
        nth_write(patch, 1, "full")
        with pytest.raises(EnvironmentProblem, match="No space left"):
            journal.add("a", 1)
    assert "a" not in journal


def test_what_is_forgotten_is_done_again_and_the_rest_is_what_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl", "r")
    for key, result in (("a", [0.1 + 0.2, "é"]), ("b", None), ("c", [3.0])):
        journal.add(key, result)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    assert journal.forget(lambda result: result is None) == 1
    assert journal.path.read_bytes() == lines[0] + lines[2]
    again = Journal(journal.path, "r")
    assert ("b" in journal, "b" in again, again["a"]) == (False, False, [0.1 + 0.2, "é"])
    assert again.forget(lambda _result: False) == 0


@pytest.mark.parametrize("place", ["link", "dangling", "device", "fifo", "folder"])
def test_nothing_but_a_file_of_its_own_is_read_or_added_to(tmp_path: Path, place: str) -> None:
    victim, path = tmp_path / "victim", tmp_path / "j.jsonl"
    victim.write_text("precious")
    if place == "fifo":
        os.mkfifo(path)
    elif place == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": victim, "dangling": tmp_path / "new", "device": Path("/dev/zero")}[place])
    with pytest.raises(EnvironmentProblem):
        Journal(path, "r")
    journal = Journal(tmp_path / "other", "r")
    journal.path = path
    with pytest.raises(EnvironmentProblem):
        journal.add("a", 1)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "new").exists()
