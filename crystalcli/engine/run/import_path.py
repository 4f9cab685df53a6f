"""From where Python imports: never from the current folder, in this process and in those that it starts.

A folder of structures comes from anybody. Python itself puts the current folder first for ``-c`` and ``-m``, by which
:mod:`multiprocessing` starts its servers, and for an empty part of ``PYTHONPATH``, which
``export PYTHONPATH=$PYTHONPATH:/lib`` leaves: a ``struct.py`` there would be run. What ``CRYSTAL_PLUGINS`` names is
loaded by its own name and needs none of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MATPLOTLIB = "matplotlibrc"
"""matplotlib reads a file of this name in the current folder before all others, once, when it is imported."""

_starting = threading.RLock()


def leave_out_current_folder() -> None:
    """Take the current folder off the import path of this process, unless ``PYTHONPATH`` has its full name.

    What stands after the standard library has been installed there and stays.
    """
    here = _here()
    given = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(p)]  # noqa: PTH117
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    end = sys.path.index(library) if library in sys.path else len(sys.path)
    kept = [p for p in sys.path[:end] if p and not (_is(p, here) and p not in given)]
    sys.path[:] = kept + [p for p in sys.path[end:] if p]


def import_matplotlib_elsewhere() -> None:
    """Import matplotlib now, and from another folder, if it would read a file of the current one."""
    if "matplotlib" in sys.modules or not Path(MATPLOTLIB).is_file():
        return
    import importlib

    here = _here()
    os.chdir(sys.prefix)
    try:
        importlib.import_module("matplotlib")
    finally:
        os.chdir(here)


@contextlib.contextmanager
def left_out_of_children() -> Iterator[Mapping[str, str | None]]:
    """While inside, Python processes that are started have no current folder on their path, nor the script of this one.

    A script that uses the library without ``if __name__ == "__main__":`` would begin again in each of them.

    Yields the variables as they were, which :func:`put_back` restores in the child: what it starts may be the user's.
    """
    with _starting:
        changes = for_children()
        before = {name: os.environ.get(name) for name in changes}
        os.environ.update(changes)
        script = vars(sys.modules["__main__"])
        named: dict[str, Any] = {word: script[word] for word in ("__file__", "__spec__") if word in script}
        script.pop("__file__", None)
        script["__spec__"] = None
        try:
            yield before
        finally:
            script.update(named)
            put_back(before)


def put_back(before: Mapping[str, str | None]) -> None:
    """Let variables be as they were."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def for_children() -> dict[str, str]:
    """Variables by which a Python process that is started leaves the current folder out."""
    found = {"PYTHONSAFEPATH": "1"}
    if "PYTHONPATH" in os.environ:
        here = _here()
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
        found["PYTHONPATH"] = os.pathsep.join(p for p in parts if os.path.isabs(p) or not _is(p, here))  # noqa: PTH117
    return found


def _here() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a deleted folder has no Path either
    except OSError:
        return ""


def _is(entry: str, here: str) -> bool:
    return os.path.abspath(entry or ".") == here if here else entry in ("", ".")  # noqa: PTH100
