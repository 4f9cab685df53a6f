"""How this process computes on the CPU: set once, where a command or a worker begins; and what it computes with."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

MAPPED = 32 << 20
"""Bytes from which on memory comes from the system itself; more glibc does not take."""
KEPT = 512 << 20
"""Bytes of freed memory that are kept for the next step."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@lru_cache(maxsize=1)
def processor() -> str:
    """Name of the processor, as the system gives it."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def circumstances() -> dict[str, str]:
    """What the last digits of a result hang on beside the program: versions, processor, threads."""
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }


def prepare_cpu() -> None:
    """Flush denormal numbers to zero, keep freed memory, and let the garbage collector rest where it finds nothing.

    The temporaries of a step are some megabytes. glibc gives them back to the system and takes them anew every step,
    and the first touch of each page takes a good part of the time of small steps (``benchmarks/md_cost.py``).
    What is imported by now lives as long as the process; the collector would walk it again and again.
    """
    gc.freeze()
    torch.set_flush_denormal(True)
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, MAPPED)
        libc.mallopt(_TRIM_THRESHOLD, KEPT)
