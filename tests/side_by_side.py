"""All tests in two processes beside each other: ``python tests/side_by_side.py [OPTIONS OF PYTEST]``.

Not by a plugin that hands tests to workers: those have threads, and a test that forks then hangs now and then. Each
process has one thread unless OMP_NUM_THREADS says otherwise: two of two threads on two cores wait for each other, a
fifth more processor time in all.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
FIRST = ("end_to_end", "engine", "plugins")
"""About half of the time; the other process has all other folders, new ones too."""


def main() -> int:
    """The worst exit code of both."""
    folders = sorted(p.name for p in TESTS.iterdir() if any(p.glob("test_*.py")) or any(p.glob("*/test_*.py")))
    halves = [[f for f in folders if f in FIRST], [f for f in folders if f not in FIRST]]
    with tempfile.TemporaryFile("w+") as told:
        runs = [
            subprocess.Popen(
                [sys.executable, "-m", "pytest", *sys.argv[1:], *(f"tests/{f}" for f in half)],
                cwd=TESTS.parent,
                env={"OMP_NUM_THREADS": "1"} | os.environ,
                stdout=None if k == 0 else told,
                stderr=None if k == 0 else subprocess.STDOUT,
            )
            for k, half in enumerate(halves)
        ]
        codes = [run.wait() for run in runs]
        told.seek(0)
        print(told.read())
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
