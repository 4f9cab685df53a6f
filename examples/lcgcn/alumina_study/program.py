"""``crystal``, as typed, inside this process: the study uses what everybody has."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
from typing import Any

from crystalcli.cli.main import run


class CommandFailed(RuntimeError):
    """A command of crystal that did not end with 0."""

    def __init__(self, args: tuple[str, ...], code: int) -> None:
        super().__init__(f"crystal {shlex.join(args)}: exit code {code}")
        self.code = code


def crystal(*args: str) -> dict[str, Any]:
    """Run ``crystal ARGS --json --quiet`` and return the object it prints; its messages go to stderr.

    Raises:
        CommandFailed: exit code other than 0.
    """
    out = io.StringIO()
    print(f"$ crystal {shlex.join(args)}", file=sys.stderr, flush=True)
    with contextlib.redirect_stdout(out):
        code = run([*args, "--json", "--quiet"])
    if code:
        raise CommandFailed(args, code)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found
