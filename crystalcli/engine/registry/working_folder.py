"""Where the program works: paths are as they were typed, so it may not be moved by code that it calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def staying() -> Iterator[None]:
    """Inside, foreign code may change the working folder; afterwards it is what it was. A decorator, too."""
    before = _here()
    try:
        yield
    finally:
        if before and _here() != before:
            os.chdir(before)


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a deleted folder has no Path either
    except OSError:
        return ""
