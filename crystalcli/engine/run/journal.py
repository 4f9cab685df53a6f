r"""Finished work, line by line: what a killed run has done is not done again.

A line is ``CRC32 JSON\n`` with the run's name, the key of the work and its result. It is flushed and synced before
the work counts as done. A torn last line is cut off; a damaged line, or one of another run, does not count.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from crystalcli.engine.run import files

Work = TypeVar("Work")


class Journal:
    """Results by key; only one program may have a journal open for writing.

    Args:
        path: the file; it is made with the first result.
        run: name of the run; lines of others do not count.
        writing: cut off a torn end; not for the journal of another program that may be at work.

    Raises:
        EnvironmentProblem: cannot be read, or its torn end cannot be cut off.
    """

    def __init__(self, path: Path, run: str, *, writing: bool = True) -> None:
        self.path, self.run = path, run
        self.dropped = 0
        """Lines that did not count, a torn last one not among them."""
        text = b""
        try:
            with os.fdopen(files.own(path, os.O_RDWR if writing else os.O_RDONLY), "r+b" if writing else "rb") as file:
                text = file.read()
                whole = text.rfind(b"\n") + 1
                if whole < len(text) and writing:
                    file.truncate(whole)
        except FileNotFoundError:
            whole = 0
        except OSError as problem:
            raise files.environment_problem(problem, path) from problem
        self._done: dict[str, Any] = {}
        for line in text[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        said = unsealed(line)
        if said is None:
            self.dropped += 1
            return
        if said["run"] != self.run:
            self.dropped += 1
            return
        self._done.setdefault(said["key"], said["result"])

    def __contains__(self, key: str) -> bool:
        return key in self._done

    def __getitem__(self, key: str) -> Any:
        return self._done[key]

    def __len__(self) -> int:
        return len(self._done)

    def add(self, key: str, result: Any) -> None:
        """Write down what came of the work ``key``; the first result counts, a second one is not written.

        Args:
            key: names the work in the run.
            result: plain values, as JSON has them.

        Raises:
            EnvironmentProblem: disk full, no permission, the run's lock is lost.
        """
        if key in self._done:
            return
        line = self._line(key, result)
        files.permitted(self.path)
        files.append(self.path, line, durable=True)
        self._done[key] = unsealed(line.rstrip(b"\n"))["result"]  # as it will be read next time

    def _line(self, key: str, result: Any) -> bytes:
        return sealed(json.dumps({"run": self.run, "key": key, "result": result}, ensure_ascii=False)) + b"\n"

    def forget(self, which: Callable[[Any], bool]) -> int:
        """Take out the results that ``which`` is true of, and lines that did not count; how many results they were.

        Raises:
            EnvironmentProblem: as :meth:`add`.
        """
        kept = {key: result for key, result in self._done.items() if not which(result)}
        forgotten = len(self._done) - len(kept)
        if forgotten:
            files.permitted(self.path)
            files.write_bytes(self.path, b"".join(self._line(key, result) for key, result in kept.items()))
            self._done = kept
        return forgotten

    def work(
        self,
        keyed: Iterable[tuple[str, Work]],
        do: Callable[[Iterator[tuple[str, Work]]], Iterator[tuple[str, Any]]],
    ) -> list[Any]:
        """Results of all ``keyed`` work, in its order; ``do`` is given what is missing and yields (key, result)."""
        every = list(keyed)
        missing = ((key, work) for key, work in every if key not in self._done)
        for key, result in do(missing):
            self.add(key, result)
        return [self._done[key] for key, _ in every]


def sealed(text: str) -> bytes:
    """JSON as ``CRC32 JSON``."""
    body = text.encode()
    return b"%08x " % zlib.crc32(body) + body


def unsealed(line: bytes) -> Any:
    """What the JSON that :func:`sealed` was given says; none where the line is damaged."""
    given, _, body = line.partition(b" ")
    return json.loads(body) if given == b"%08x" % zlib.crc32(body) else None
