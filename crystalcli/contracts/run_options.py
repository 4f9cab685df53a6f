"""Options that several workflows have, under the same names with the same help: ``device: str = device()``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crystalcli.contracts.options import option
from crystalcli.vocabulary.pictures import DEFAULT, FORMATS

RUN = "Run"
"""Help panel of the options that say how a command runs rather than what it does."""


MODEL, CALCULATOR = "model", "calculator"
"""Families whose names stand where a model file, or a potential, may."""
STRUCTURES = "files, folders, quoted globs, lists (@list.txt), or - for a list on stdin"
SECONDS_PER_FILE = 60.0
"""A worker that reads may take so long from one structure to the next."""
MEMORY_PER_JOB = 8.0
"""GB of address space of a worker that reads."""
BATCH_SIZE = 64
"""Structures that a model predicts together."""


def structures(*, ends: bool = False) -> Any:
    """Structure files, as ``tuple[str, ...]``: the host puts the files that are meant in their place.

    Args:
        ends: as for :func:`crystalcli.contracts.options.option`.
    """
    return option((), STRUCTURES, argument=True, files=True, ends=ends)


def inputs(said: str = STRUCTURES) -> Any:
    """Files that must be named, as ``tuple[str, ...]``: as typed, for a workflow that finds out what is meant."""
    return option((), said, argument=True, required=True)


def cif_column(panel: str = "") -> Any:
    """Of a table with several, the column that is read, as ``str``."""
    return option("", "column of a CSV that holds the CIF text", panel=panel)


def id_column(panel: str = "") -> Any:
    """Of a table, as ``str``; found by itself if it has a usual name."""
    return option("", "column of a CSV that names the rows", panel=panel)


def model() -> Any:
    """A trained model, as ``Path``."""
    said = "model file, the folder of the run that made it (runs/latest), or a name (crystal models list)"
    return option(Path(), said, argument=True, required=True, names=MODEL)


def output(default: Path | None, said: str = "where the result goes") -> Any:
    """The file that is written, as ``Path`` or ``Path | None``; of a workflow without a run folder."""
    return option(default, said, short="-o")


def labels() -> Any:
    """Labels of the inputs that predictions are compared with, as ``tuple[str, ...]``."""
    return option((), "label to compare with: [TARGET=]KEY[/atom|*atoms]; default TARGET")


def batch_size() -> Any:
    """Structures that a model is given together, as ``int``."""
    return option(BATCH_SIZE, "structures at a time", min=1)


def potential() -> Any:
    """A potential, as ``str``; ``chooses`` of the workflow says ``{"potential": "potential"}``."""
    return option("", "model file, run folder, or name of a calculator", names=CALCULATOR)


def device() -> Any:
    """Where torch works, as ``str``."""
    return option("auto", "auto, cpu, cuda, cuda:1, mps", panel=RUN)


def threads() -> Any:
    """CPU threads of torch, as ``int``."""
    return option(0, "CPU threads; 0 leaves them as they are", min=0, panel=RUN)


def log() -> Any:
    """Loggers, as ``tuple[str, ...]``; the host lets them follow ``run.metric`` and ``run.follow``."""
    return option(
        (), "a logger that follows the numbers; crystal plugins list --family logger", names="logger", panel=RUN
    )


def seed() -> Any:
    """Seed, as ``int``."""
    return option(0, "seed of everything random; same seed, same bits", min=0, panel=RUN)


def jobs() -> Any:
    """Worker processes, as ``int``; one is this process."""
    return option(1, "worker processes", min=1, short="-j", panel=RUN)


def readers() -> Any:
    """Worker processes that read files, as ``int``."""
    return option(0, "worker processes; 0 takes all cores", min=0, short="-j", panel=RUN)


def seconds_per_file() -> Any:
    """Time limit of a worker that reads, as ``float``."""
    return option(SECONDS_PER_FILE, "give a file up when it gives no structure for so long", min=0.1)


def memory_per_job() -> Any:
    """Memory of a worker that reads, as ``float``."""
    return option(MEMORY_PER_JOB, "GB of address space of a worker; 0: no limit", min=0.0)


def scheduler() -> Any:
    """A Dask cluster, as ``str``."""
    return option("", "Dask cluster that works: address, file, slurm:QUEUE:JOBS", metavar="ADDRESS", panel=RUN)


def pictures() -> Any:
    """Formats of pictures, as ``str``; see :mod:`crystalcli.vocabulary.pictures`."""
    return option(DEFAULT, f"{', '.join(FORMATS)}, or several: svg,pdf", metavar="FORMAT", panel=RUN)


ANYWHERE = frozenset({"threads", "jobs", "scheduler"})
"""Those that change no result, and so may differ when a run goes on."""
