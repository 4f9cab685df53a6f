"""What workers may be given: numbers of results, and words that make trouble."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

PATHS = ("PYTHONSAFEPATH", "PYTHONPATH")


def start(mark: Path) -> Callable[[object, int], Iterator[object]]:
    """Numbers up to an item's; (word, so many results before) makes trouble."""

    def do(item, skip: int) -> Iterator[object]:
        if isinstance(item, int):
            yield from (("t", item, k) for k in range(skip, item))
            return
        word, after = item
        for k in range(skip, after):
            yield ("t", word, k)
        if word == "hang":
            time.sleep(600)
        elif word == "die":
            os._exit(3)
        elif word == "slow":
            time.sleep(0.3)
        elif word == "print":
            print("from a reader", flush=True)
            os.write(1, b"from a library\n")
        elif word == "pid":
            yield os.getpid()
        elif word == "path":
            yield str(Path.cwd()) in sys.path or "" in sys.path, {k: os.environ.get(k) for k in PATHS}
        elif word == "once" and not mark.exists():
            mark.touch()
            os._exit(3)
        elif word == "host":  # the end of the Dask worker itself: what supervises is killed
            os.kill(int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]), 9)
            time.sleep(10)
        elif word == "eat":
            try:
                np.ones(1 << 30)
            except MemoryError:
                yield ("t", "no room", 0)
        yield ("t", word, after)

    return do
