"""Standard streams that may be closed, full or left by their reader: work goes on, and a loss is never silent.

What is said to people is written without raising; whatever could not be written makes the exit code 5 in the end,
unless the reader went away by its own will (``| head``). Values that are the work itself are *delivered*: there is no
sense in going on when nobody can have them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, one_line


class Left(BrokenPipeError):
    """The reader of delivered values went away: nothing more is wanted."""


class Closed:
    """In place of a standard stream that does not exist (``>&-``): what is written there is lost, and says so."""

    encoding, errors, closed = "utf-8", "replace", False

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> int:
        """Raise OSError unless there is nothing to write."""
        if text:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return 0

    def flush(self) -> None:
        """There is nothing to flush."""

    def fileno(self) -> int:
        """Of the stream that is not there; something harmless is in its place."""
        return self._number

    def isatty(self) -> bool:
        """No."""
        return False


class Outlet:
    """A stream that never raises and remembers why it could not write; all else is the stream's.

    Args:
        stream: where to write. name: what people call it.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name = stream, name
        self.problem: OSError | None = None
        self._said = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or remember why not."""
        if self.problem is None:
            try:
                self._stream.write(text)
            except OSError as problem:
                self._fail(problem)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flush, or remember why not."""
        if self.problem is None:
            try:
                self._stream.flush()
            except OSError as problem:
                self._fail(problem)

    def deliver(self, text: str) -> None:
        """Write what is the work itself.

        Raises:
            Left: the reader went away. EnvironmentProblem: closed, disk full.
        """
        self.write(text)
        if self.problem is not None:
            self._said = True
            if self.problem.errno == errno.EPIPE:
                raise Left(errno.EPIPE, os.strerror(errno.EPIPE))
            raise EnvironmentProblem(f"{self._reason()}; give -o FILE")

    def lost(self) -> str:
        """What to say of texts that were lost and nobody has heard of yet; empty if none were."""
        self.flush()
        if self.problem is None or self._said or self.problem.errno == errno.EPIPE:
            return ""
        return f"{self._reason()}; what was to be read there is lost, all else is done"

    def _reason(self) -> str:
        assert self.problem is not None
        return f"{self._name}: cannot write: {self.problem.strerror or self.problem}"

    def _fail(self, problem: OSError) -> None:
        self.problem = problem
        with contextlib.suppress(OSError, ValueError):  # the interpreter flushes once more at its end; to nowhere
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class Streams:
    """Both outlets of a command that runs."""

    def __init__(self) -> None:
        self.out, self.err = Outlet(sys.stdout, "stdout"), Outlet(sys.stderr, "stderr")

    def end(self, code: int) -> int:
        """Flush, say what was lost; the exit code that follows from ``code``."""
        losses = [said for stream in (self.out, self.err) if (said := stream.lost())]
        for said in losses:
            self.err.write(f"error: {one_line(said)}\n")
        self.err.flush()
        return code or (Exit.ENVIRONMENT if losses else Exit.OK)


@contextmanager
def watched() -> Iterator[Streams]:
    """While inside, the standard streams are outlets."""
    before, streams = (sys.stdout, sys.stderr), Streams()
    sys.stdout, sys.stderr = cast(TextIO, streams.out), cast(TextIO, streams.err)
    try:
        yield streams
    finally:
        sys.stdout, sys.stderr = before


def deliver(out: Any, text: str) -> None:
    """Write ``text``, which is the work itself, to ``out``, which is stdout.

    Raises:
        Left, EnvironmentProblem: see :meth:`Outlet.deliver`.
    """
    (out.deliver if isinstance(out, Outlet) else out.write)(text)


def refuse_closed() -> None:
    """Raise EnvironmentProblem, before any work, where values would go to a stdout that does not exist."""
    stream = sys.stdout._stream if isinstance(sys.stdout, Outlet) else sys.stdout
    if isinstance(stream, Closed):
        raise EnvironmentProblem("stdout is closed, and values would go there; give -o FILE")


def open_streams() -> None:
    """Make the standard streams usable whatever they are: closed, or in an encoding that lacks Å."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(number)
            setattr(sys, name, Closed(number) if number else os.fdopen(number, encoding="utf-8", closefd=False))
        elif number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _occupy(number: int) -> None:
    """Let a closed descriptor lead nowhere: else the next file opened takes its number, and what libraries print."""
    with contextlib.suppress(OSError):
        os.fstat(number)
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(nowhere, number)
        os.close(nowhere)
