"""What can go wrong, each with the exit code that tells a script what to do next.

Every error is one line: ``error: PATH[:LINE]: REASON`` and, after a semicolon, the cure.
"""

from __future__ import annotations

import os
from enum import IntEnum

from crystalcli.vocabulary.texts import inert

MAX_LINE = 300


class Exit(IntEnum):
    """Exit codes of ``crystal``; the table stands in docs/conventions.md."""

    OK = 0
    BUG = 1
    USAGE = 2
    SOME_FAILED = 3
    NOTHING_USABLE = 4
    ENVIRONMENT = 5
    UNSAFE = 6
    NUMERICAL = 7
    STOPPED = 75
    INTERRUPTED = 130


class CrystalError(Exception):
    """An error that a user can act on: shown as one line, without a traceback.

    Args:
        reason: what is wrong and, after a semicolon, the cure.
        path, line: where.
        code: short word for machine-readable failure tables, e.g. ``"overlap"``.
    """

    exit_code: Exit = Exit.BUG

    def __init__(
        self, reason: str, *, path: str | os.PathLike[str] | None = None, line: int | None = None, code: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.path = None if path is None else os.fspath(path)
        self.line = line

    def __str__(self) -> str:
        where = "" if self.path is None else self.path + (f":{self.line}" if self.line else "") + ": "
        return one_line(where + self.reason)


class UsageError(CrystalError):
    """Bad flags, configuration or labels; nothing was done."""

    exit_code = Exit.USAGE


class RefusedLate(UsageError):
    """The same, seen only once a run had begun: another command may have its folder, and use what is there."""


class UnknownOption(UsageError):
    """An option that a part, or a table, does not have."""


class InputError(CrystalError):
    """One input cannot be used; the others go on (alone, it leaves nothing usable)."""

    exit_code = Exit.NOTHING_USABLE


class PluginFault(CrystalError):
    """What a part of a plugin raises, or gives, that no part may: the plugin is named. No input is at fault."""

    exit_code = Exit.BUG


class NothingUsable(CrystalError):
    """No input was usable."""

    exit_code = Exit.NOTHING_USABLE


class EnvironmentProblem(CrystalError):
    """Disk, memory, device, lock or permission."""

    exit_code = Exit.ENVIRONMENT


class UnsafeInput(CrystalError):
    """A file that tries to do more than hold data."""

    exit_code = Exit.UNSAFE


class NumericalFailure(CrystalError):
    """NaN or explosion; the last good state was kept."""

    exit_code = Exit.NUMERICAL


class Stopped(CrystalError):
    """Stopped by a signal or a time limit; the same command with --resume goes on."""

    exit_code = Exit.STOPPED


def one_line(text: str) -> str:
    """Make ``text`` safe for one terminal line: control characters escaped, at most 300 characters."""
    visible = inert(text)
    return visible if len(visible) <= MAX_LINE else visible[: MAX_LINE - 1] + "…"


def what_happened(problem: BaseException) -> str:
    """What foreign code did: the error that it raised, or that it wanted to end the program."""
    if isinstance(problem, SystemExit):
        return f"calls sys.exit({'' if problem.code is None else repr(problem.code)})"
    return f"{type(problem).__name__}: {problem}"


AS_NEAR = 0.05
"""Words whose likeness is less by that much are as near as the nearest."""


def did_you_mean(word: str, known: list[str] | tuple[str, ...]) -> str:
    """Return ``did you mean 'x' or 'y'?``, all words that are as near, or with nothing near the known words."""
    import difflib

    near = difflib.get_close_matches(word, known, n=5, cutoff=0.6)
    if near:
        likeness = {w: difflib.SequenceMatcher(None, word, w).ratio() for w in near}
        best = max(likeness.values())
        return f"did you mean {' or '.join(repr(w) for w in sorted(near) if likeness[w] > best - AS_NEAR)}?"
    return f"known: {', '.join(sorted(known))}" if known else "none are known"
