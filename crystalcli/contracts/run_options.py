"""Options that several workflows have, under the same names with the same help: ``device: str = device()``."""

from __future__ import annotations

from typing import Any

from crystalcli.contracts.options import option
from crystalcli.vocabulary.pictures import DEFAULT

RUN = "Run"
"""Help panel of the options that say how a command runs rather than what it does."""


def structures() -> Any:
    """Structure files, as ``tuple[str, ...]``: the host puts the files that are meant in their place."""
    said = "files, folders, quoted globs, lists (@list.txt), or - for a list on stdin"
    return option((), said, argument=True, files=True)


def potential() -> Any:
    """A potential, as ``str``; ``chooses`` of the workflow says ``{"potential": "potential"}``."""
    return option("", "model file, run folder, or name of a calculator", names="calculator")


def device() -> Any:
    """Where torch works, as ``str``."""
    return option("auto", "auto, cpu, cuda, cuda:1, mps", panel=RUN)


def threads() -> Any:
    """CPU threads of torch, as ``int``."""
    return option(0, "CPU threads; 0 leaves them as they are", min=0, panel=RUN)


def seed() -> Any:
    """Seed, as ``int``."""
    return option(0, "seed of everything random; same seed, same bits", min=0, panel=RUN)


def pictures() -> Any:
    """Formats of pictures, as ``str``."""
    return option(DEFAULT, "formats of pictures: png, svg, pdf, or several", metavar="FORMATS", panel=RUN)


def jobs() -> Any:
    """Worker processes, as ``int``; one is this process."""
    return option(1, "worker processes", min=1, short="-j", panel=RUN)


def scheduler() -> Any:
    """A Dask cluster, as ``str``."""
    return option("", "Dask cluster that works: address, file, slurm:QUEUE:JOBS", metavar="ADDRESS", panel=RUN)


ANYWHERE = frozenset({"threads", "jobs", "scheduler"})
"""Those that change no result, and so may differ when a run goes on."""
