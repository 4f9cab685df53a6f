"""What a person sees: human text on stdout, or on stderr when ``--json`` wants stdout for one object."""

from __future__ import annotations

import json as json_module
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from crystalcli.vocabulary.errors import one_line


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
        """Rich console for human text."""
        from rich.console import Console

        return Console(stderr=self.json, quiet=self.quiet, highlight=False, markup=False)

    def say(self, text: str) -> None:
        """One line for people."""
        if not self.quiet:
            print(text, file=sys.stderr if self.json else sys.stdout)

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
            print(json_module.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False))

    @contextmanager
    def progress(self, label: str, total: int | None) -> Iterator[Any]:
        """Yield ``advance(n, text)``: a bar on a terminal, silence elsewhere."""
        console = self.console()
        if not console.is_terminal:
            yield lambda _n=1, _text="": None
            return
        from rich.progress import Progress

        with Progress(console=console, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda n=1, text="": bar.update(task, advance=n, description=f"{label} {text}")


def open_streams() -> None:
    """Make the standard streams usable whatever they are: closed, or in an encoding that lacks Å."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - lives as long as we
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _one_line_warning


def _one_line_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of a library is one line too, without the source line that Python adds."""
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
