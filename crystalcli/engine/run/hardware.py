"""Whether torch, GPU, cores and memory are there and work; with the cure where they do not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crystalcli.engine.run.places import cores

OK, WARNING, FAILED = "ok", "warning", "failed"

LEAST_MEMORY = 2.0
"""GB of memory below which larger sets do not fit."""
GIB = 1024.0**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: it is. state: ``ok``, ``warning`` or ``failed``. said: what was found. cure: what to do; empty if nothing.
    """

    what: str
    state: str
    said: str
    cure: str = ""


def torch_device() -> str:
    """Where torch computes, in words."""
    import torch

    if not torch.cuda.is_available():
        return "cpu" + (f", built for CUDA {torch.version.cuda}" if torch.version.cuda else "")
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return f"CUDA {torch.version.cuda}: {', '.join(names)}"


def torch_works() -> Iterator[Finding]:
    """Whether torch can be loaded and multiplies."""
    try:
        import torch

        good = bool(((torch.ones(3, 3) @ torch.ones(3, 3)) == 3).all())
    except Exception as problem:  # a broken shared library raises whatever it likes
        yield Finding("torch", FAILED, f"{type(problem).__name__}: {problem}", "pip install --force-reinstall torch")
        return
    said = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    yield Finding("torch", OK, said) if good else Finding("torch", FAILED, f"{said} multiplies wrongly")


def gpu() -> Iterator[Finding]:
    """Whether there is one, and torch can use it."""
    import torch

    if not torch.cuda.is_available():
        if Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
            if torch.version.cuda is None:
                cure = "install the build of torch for CUDA; see pytorch.org"
                yield Finding("gpu", WARNING, "there is a driver, but torch was built without CUDA", cure)
            else:
                cure = "nvidia-smi says whether the driver sees it; in a job: was a GPU asked for?"
                yield Finding(
                    "gpu", WARNING, f"there is a driver, but torch (CUDA {torch.version.cuda}) sees none", cure
                )
        else:
            yield Finding("gpu", OK, "none; everything works without")
        return
    for k in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(k)
        free, whole = (n / GIB for n in torch.cuda.mem_get_info(k))
        said = f"cuda:{k} {about.name}, {free:.1f} of {whole:.1f} GiB free"
        ones = torch.ones(64, 64, device=f"cuda:{k}")
        if not bool(((ones @ ones) == 64).all()):
            yield Finding(
                "gpu", FAILED, f"{said}; it multiplies wrongly", "try another: --device cuda:N, or --device cpu"
            )
        elif free < 0.1 * whole:
            yield Finding("gpu", WARNING, said, "another program has it: nvidia-smi; or --device cpu")
        else:
            yield Finding("gpu", OK, said)


def threads() -> Iterator[Finding]:
    """Whether as many threads as cores are used."""
    import torch

    here, used, quota = cores(), torch.get_num_threads(), _quota()
    said = f"{used} threads on {here} cores"
    if quota is not None and quota < here:
        said += f", of which this container may use {quota:g}"
        here = max(1, int(quota))
    if used > here:
        yield Finding("threads", WARNING, f"{said}: they wait for each other", f"export OMP_NUM_THREADS={here}")
    else:
        yield Finding("threads", OK, said)


def _quota() -> float | None:
    """Cores that a control group grants; none where there is no limit."""
    try:
        most, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        return None


def memory() -> Iterator[Finding]:
    """What is available, by the kernel or the control group."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        free = int(re.findall(r"MemAvailable:\s+(\d+)", text)[0]) / 1024.0**2
    except (OSError, IndexError):
        yield Finding("memory", OK, "the system does not say how much is free")
        return
    try:
        most = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        free = min(free, (most - int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))) / GIB)
    except (OSError, ValueError):
        pass
    said = f"{free:.1f} GiB available"
    if free < LEAST_MEMORY:
        yield Finding("memory", WARNING, said, "fewer --jobs, a smaller --batch-size; close other programs")
    else:
        yield Finding("memory", OK, said)
