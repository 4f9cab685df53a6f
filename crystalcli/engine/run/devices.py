"""Where a process computes and how: the device that a word means, and threads and last bits on the CPU."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError, did_you_mean

MAPPED = 32 << 20
"""Bytes from which on memory comes from the system itself; more glibc does not take."""
KEPT = 512 << 20
"""Bytes of freed memory that are kept for the next step."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def choose_device(wish: str) -> torch.device:
    """Device for ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        EnvironmentProblem: it is not there. UsageError: no such word.
    """
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = wish.split(":", maxsplit=1)[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise UsageError(f"no device '{wish}'; {did_you_mean(wish, ('auto', 'cpu', 'cuda', 'mps'))}")
    try:
        torch.zeros(1, device=wish)
    except (RuntimeError, AssertionError) as problem:
        raise EnvironmentProblem(f"device '{wish}' is not available here; use --device cpu") from problem
    return torch.device(wish)


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
