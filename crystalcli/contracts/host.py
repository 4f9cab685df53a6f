"""Who hears of a run while it goes on, and what the host does for a workflow that cannot do it. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from crystalcli.contracts.request import Chosen, Request
from crystalcli.vocabulary.errors import InputError

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import Potential
    from crystalcli.contracts.records import Part
    from crystalcli.nouns.structures.entry import Entry


@dataclass(frozen=True)
class Level:
    """What is under way, and how much of it is done: ``run 3 of 5``, and in it ``epoch 7 of 20``.

    Args:
        now: in words.
        done: so much, without the one that a further level tells of.
        of: so much in all; none where nobody knows.
        part: so much of it is what a further level tells of: a batch of 8 boxes counts 8.
    """

    now: str
    done: float
    of: float | None = None
    part: float = 1.0


@dataclass(frozen=True)
class Reporter:
    """Who hears of a run while it goes on; workflows print nothing themselves.

    Args:
        say: a line for people. warn: a warning.
        hear: told what is under way, from the whole inwards; draws bars, says a line a minute, keeps it in a file.
        around: what this reporter's own progress is a part of.
    """

    say: Callable[[str], None] = lambda _line: None
    warn: Callable[[str], None] = lambda _line: None
    hear: Callable[[tuple[Level, ...]], None] = lambda _levels: None
    around: tuple[Level, ...] = ()

    def progress(self, now: str, done: float, of: float | None) -> None:
        """Tell what is under way, so much done, of so much or none where nobody knows; as often as one likes."""
        self.hear((*self.around, Level(now, done, of)))

    def within(self, now: str, done: float = 0.0, of: float | None = None, part: float = 1.0) -> Self:
        """One whose progress is that of a part of this, as of a run in a run; see :class:`Level`."""
        return replace(self, around=(*self.around, Level(now, done, of, part)))

    def heard_by(self, log: Callable[[str], None]) -> Self:
        """The same, with ``log`` told all that is said, too."""

        def say(text: str) -> None:
            log(text)
            self.say(text)

        def warn(text: str) -> None:
            log(f"warning: {text}")
            self.warn(text)

        return replace(self, say=say, warn=warn)


@dataclass(frozen=True)
class Host(Reporter):
    """A reporter that can also do what a plugin cannot reach by itself; ``prepare`` is given one.

    Args:
        deliver: of a workflow that ``delivers``: writes values to stdout as they come. None where stdout is for the one
            object of ``--json``: the report holds them then.
        people: whether what is delivered goes to a terminal.
    """

    deliver: Callable[[str], None] | None = None
    people: bool = False

    def structures(self, files: Sequence[str]) -> Iterator[Entry | InputError]:
        """Structures of the files, in order, read as every command reads them; an error for each that cannot be read.

        Args:
            files: values of an option declared with ``files=True``.

        Raises:
            UsageError: two structures that cannot be told apart, and the like.
        """
        raise NotImplementedError

    def potential(self, request: Request, option: str = "potential", **more: str) -> Potential:
        """The potential that an option names, with the options of its part.

        Args:
            request: what is asked.
            option: of the family ``potential``.
            more: ``device`` and ``dtype``, as :func:`crystalcli.contracts.run_options.device` declares them.

        Raises:
            UsageError: no such potential. InputError: the model cannot be read. EnvironmentProblem: no such device.
        """
        raise NotImplementedError

    def model_file(self, text: str) -> Path | None:
        """The model file that the value of an option means, also in the folder of a run; none where it means none.

        It is one of the ``inputs`` of a :class:`Work`, lest a run goes on with another model by the same name.
        """
        raise NotImplementedError

    def part(self, family: str, chosen: Chosen) -> Part:
        """The record of a part that runs inside will have, its options looked at; without a name the default.

        Raises:
            UsageError: no such part, or options that it does not have.
        """
        raise NotImplementedError

    def writing(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        """A file of a workflow without a run folder, which appears whole when the block is left, or not at all.

        What a program that was killed has left beside it is removed.

        Raises:
            EnvironmentProblem: it cannot be written.
        """
        raise NotImplementedError
