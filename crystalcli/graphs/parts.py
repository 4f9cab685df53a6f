"""Sealed parts of a build that may be interrupted: what is done lies in immutable files and is not done again.

The files are dealt out in units of :data:`UNIT` in a row. What comes out of a unit is sealed part by part; a journal
says which parts there are, their sha256, and where in the unit the next one begins. An array job shares the units out:
process i of n takes every n-th and keeps a journal of its own, and the command without ``--shard`` joins them.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from crystalcli.engine.run import files
from crystalcli.engine.run.journal import Journal
from crystalcli.engine.run.run_folder import sha256
from crystalcli.graphs.codec import from_bytes, to_bytes
from crystalcli.graphs.packing import FileOutcome
from crystalcli.vocabulary.errors import InputError, UsageError, one_line

UNIT = 512
"""Files of a unit, or pieces of large ones."""
PART = 1024
"""Outcomes of a part."""
SECONDS = 20.0
"""A part is sealed after so long, however few outcomes it has."""
_A_DIGEST = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True)
class Share:
    """Units that one process of an array job takes: all whose number is ``index`` modulo ``count``."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read ``3/8``, counted from 1.

        Raises:
            UsageError: not like that.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"--shard takes i/n with i from 1 to n, not '{text}'")
        return cls(int(found[1]) - 1, int(found[2]))

    def takes(self, unit: int) -> bool:
        """Whether a unit is in this share."""
        return unit % self.count == self.index

    @property
    def name(self) -> str:
        """For its files."""
        return "all" if self.count == 1 else f"{self.index + 1}-of-{self.count}"


@dataclass(frozen=True)
class Cursor:
    """Where a unit goes on: at file ``file`` of all, after ``skip`` outcomes of it; nowhere if ``ended``."""

    file: int
    skip: int = 0
    ended: bool = False


class Parts:
    """The sealed parts beside an output.

    Args:
        output: cache that is being built. digest: of all that it depends on; parts of another build are dropped.
        share: whose parts are written.

    Raises:
        EnvironmentProblem: the folder cannot be read or written. UsageError: it is a link.
    """

    def __init__(self, output: Path, digest: str, share: Share) -> None:
        self.folder = folder(output)
        files.refuse_link(self.folder)
        self._digest, self._share = digest, share
        self._drop_others()
        names = sorted(self.folder.glob("journal-*.jsonl")) if self.folder.is_dir() else []
        self._others = [Journal(p, digest, writing=False) for p in names if p.name != f"journal-{share.name}.jsonl"]
        self._own = Journal(self.folder / f"journal-{share.name}.jsonl", digest)

    def _drop_others(self) -> None:
        """Remove what was left by a build of other inputs, options or versions.

        Without a mark nothing was sealed yet. Locks stay: the other shares of an array job begin in the same second.
        """
        mark = self.folder / "build"
        try:
            told = mark.read_bytes()
            if told == self._digest.encode():
                return
            if not _A_DIGEST.fullmatch(told):  # damaged: journals and parts say by themselves whose they are
                files.write_text(mark, self._digest)
                return
            for path in self.folder.iterdir():
                if path.suffix != ".lock":
                    path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except OSError as problem:
            raise files.environment_problem(problem, self.folder) from problem

    def known(self, unit: int, first: int) -> tuple[list[Path], Cursor]:
        """Sealed parts of a unit whose first file is ``first``, sound ones only, and where it goes on."""
        return max((self._known(j, unit, first) for j in (self._own, *self._others)), key=_progress)

    def _known(self, journal: Journal, unit: int, first: int) -> tuple[list[Path], Cursor]:
        found: list[Path] = []
        cursor = Cursor(first)
        while (said := self._sound(journal, unit, len(found), cursor)) is not None:
            found.append(self.folder / said["file"])
            cursor = Cursor(*said["next"])
        return found, cursor

    def _sound(self, journal: Journal, unit: int, number: int, begin: Cursor) -> dict[str, Any] | None:
        """What the journal says of a part that begins at ``begin`` and is whole; a damaged one was sealed again."""
        for attempt in count():
            key = _key(unit, number, attempt)
            if key not in journal:
                return None
            said: dict[str, Any] = journal[key]
            if said["from"] == [begin.file, begin.skip] and _whole(self.folder / said["file"], said["sha256"]):
                return said
        raise AssertionError  # count has no end

    def read(self, path: Path) -> list[FileOutcome]:
        """What a part holds.

        Raises:
            InputError: not what :meth:`seal` writes.
        """
        try:
            return from_bytes(path.read_bytes())
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, SafetensorError) as problem:
            said = f"is no part of a build ({one_line(str(problem))}); remove its folder and give the command again"
            raise InputError(said, path=path) from problem

    def seal(self, unit: int, number: int, outcomes: Sequence[FileOutcome], begin: Cursor, end: Cursor) -> None:
        """Keep part ``number`` of a unit, which begins and ends at these places.

        Raises:
            EnvironmentProblem: disk full and its like; what was sealed before is safe.
        """
        mark = self.folder / "build"
        if not mark.exists():
            files.write_text(mark, self._digest)
        data = to_bytes(outcomes)
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{self._share.name}-{unit:05d}-{number:03d}-{digest[:8]}.part"
        files.write_bytes(path, data)
        key = next(k for k in (_key(unit, number, a) for a in count()) if k not in self._own)
        end_said = [end.file, end.skip, end.ended]
        said = {"file": path.name, "sha256": digest, "from": [begin.file, begin.skip], "next": end_said}
        self._own.add(key, said)

    def remove(self) -> None:
        """The output is whole: the parts have done their work."""
        shutil.rmtree(self.folder, ignore_errors=True)


class Sealing:
    """Outcomes of a unit on their way into parts.

    Args:
        parts: where they go. unit: of which unit. done: parts there are already. begin: where they end.
    """

    def __init__(self, parts: Parts, unit: int, done: int, begin: Cursor) -> None:
        self._parts, self._unit, self._number = parts, unit, done
        self._held: list[FileOutcome] = []
        self._begin = self._end = begin
        self._since = time.monotonic()

    def add(self, outcome: FileOutcome, cursor: Cursor) -> None:
        """Hold an outcome; seal what is held when it is enough. ``cursor`` is where the unit goes on after it."""
        self._held.append(outcome)
        self._end = cursor
        if len(self._held) >= PART or time.monotonic() - self._since > SECONDS:
            self.seal()

    def seal(self, *, ended: bool = False) -> None:
        """Seal what is held."""
        if not self._held and not ended:
            return
        end = Cursor(self._end.file, self._end.skip, ended)
        self._parts.seal(self._unit, self._number, self._held, self._begin, end)
        self._held, self._number, self._begin, self._since = [], self._number + 1, end, time.monotonic()


def folder(output: Path) -> Path:
    """Where the parts of a build lie."""
    return output.with_name(output.name + ".parts")


def units(n_files: int) -> Iterator[range]:
    """Numbers of the files of every unit."""
    return (range(k, min(k + UNIT, n_files)) for k in range(0, n_files, UNIT))


def _progress(found: tuple[list[Path], Cursor]) -> tuple[bool, int, int]:
    return found[1].ended, found[1].file, found[1].skip


def _key(unit: int, number: int, attempt: int) -> str:
    return f"{unit}.{number}.{attempt}"


def _whole(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except OSError:
        return False
