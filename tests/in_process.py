"""A command line run in this process, as a program of its own would run it, but for the seconds of importing."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

from crystalcli.cli.main import run


def crystal(
    words: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What ``crystal WORDS`` says and returns, in ``folder``; signals and kills need a process of their own."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with mock.patch.dict(os.environ, env or {}), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(list(words))
    finally:
        os.chdir(before)
    return subprocess.CompletedProcess(["crystal", *words], code, out.getvalue(), err.getvalue())
