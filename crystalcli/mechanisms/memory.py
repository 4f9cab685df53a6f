"""How the process keeps memory: what a training step frees, the next one gets back without asking the system."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 1 << 30


def keep_freed_memory() -> bool:
    """Tell glibc to keep large blocks after they are freed; return whether it listens (elsewhere nothing happens).

    By default every tensor above 32 MB is mapped afresh and the kernel clears it page by page: gathering (115200, 128)
    floats takes 74 ms that way and 7 ms when the memory is kept, a training step of 128 small crystals a tenth less.
    For the program's own process only, before the first large tensor; a library does not change its host's allocator.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
    return False
