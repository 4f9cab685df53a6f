"""The one way by which files are written: temporary file beside the target, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from pathlib import Path

from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the whole new one.

    Raises:
        EnvironmentProblem: disk full, no permission, input/output error.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise EnvironmentProblem(f"cannot write: {problem.strerror or problem}", path=path) from problem


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as :func:`write_bytes` does."""
    write_bytes(path, text.encode())


def refuse_to_overwrite(path: Path, overwrite: bool) -> None:
    """Raise UsageError if ``path`` exists and ``overwrite`` is not given."""
    if path.exists() and not overwrite:
        raise UsageError("exists; give --overwrite to replace it", path=path)
