"""What a person sees: human text on stdout, or on stderr when ``--json`` wants stdout for one object."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from crystalcli.vocabulary.errors import one_line
from crystalcli.vocabulary.tables import json_line
from crystalcli.vocabulary.texts import inert


@dataclass(frozen=True)
class Face:
    """The face of one command.

    Args:
        json: one JSON object on stdout, all human text on stderr.
        quiet: no human text but warnings and errors.
    """

    json: bool = False
    quiet: bool = False

    def console(self) -> Any:
        """Rich console for human text: words of files steer neither it nor the terminal."""
        from rich.console import Console

        class Inert(Console):
            def render_str(self, text: str, **more: Any) -> Any:
                return super().render_str("\n".join(map(inert, text.split("\n"))), **more)

        return Inert(stderr=self.json, quiet=self.quiet, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """One line for people."""
        if not self.quiet:
            print(inert(text), file=sys.stderr if self.json else sys.stdout)

    def line(self, text: str) -> None:
        """One line for people, at once: of a run that goes on."""
        self.say(text)
        (sys.stderr if self.json else sys.stdout).flush()

    def warn(self, text: str) -> None:
        """One warning line, always on stderr."""
        print(f"warning: {one_line(text)}", file=sys.stderr)

    def error(self, text: str) -> None:
        """One error line, always on stderr."""
        print(f"error: {one_line(text)}", file=sys.stderr)

    def result(self, data: Mapping[str, Any]) -> None:
        """The one object of ``--json``; nothing without it."""
        if self.json:
            sys.stdout.write(json_line(data, sort_keys=True))

    @contextmanager
    def own_stdout(self) -> Iterator[None]:
        """While inside, what a plugin or a library prints goes to stderr, if stdout is for the result alone."""
        if not self.json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Any]:
        """Yield ``advance(n, text)``: a bar on a terminal, a line a minute elsewhere."""
        from crystalcli.contracts.host import Level

        done = 0.0
        with self.hearing(self.console()) as hear:

            def advance(n: float = 1, text: str = "") -> None:
                nonlocal done
                done += n
                hear((Level(inert(f"{label} {text}".rstrip()), done, total),))

            yield advance

    @contextmanager
    def hearing(self, console: Any) -> Iterator[Any]:
        """Yield who hears of :class:`~crystalcli.contracts.host.Level`: draws bars, or says a line a minute."""
        from crystalcli.cli.bars import Bars
        from crystalcli.engine.run.progress import Pulse

        if self.quiet or not console.is_terminal:
            yield Pulse(self.line).hear
            return
        bars = Bars(console)
        try:
            yield bars.hear
        finally:
            bars.stop()


def warn_in_one_line() -> None:
    """A warning of a library is one line too, without the source line that Python adds."""
    warnings.showwarning = _one_line_warning


def _one_line_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {one_line(str(message))}", file=sys.stderr)


_PHRASES = {
    "Invalid value for ": "",
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "must be a whole number",
    "Input should be a valid number, unable to parse string as a number": "must be a number",
    "Input should be": "must be",
}
"""What the option parser says → what we say."""


def plain_words(text: str) -> str:
    """A message of the option parser in our words: no capital at the start, no full stop."""
    for library, ours in _PHRASES.items():
        text = text.replace(library, ours)
    text = text.removesuffix(".")
    return text[:1].lower() + text[1:] if text[:1] != "'" else text
