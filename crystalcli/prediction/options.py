"""What ``crystal predict`` asks: every option once, for flags, TOML and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.pictures import formats


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Everything that ``crystal predict`` asks; ``pictures`` names each format once.

    Raises:
        UsageError: a format of pictures that is not there.
    """

    model: Path = common.model()
    inputs: tuple[str, ...] = common.inputs("files, folders, quoted globs, lists or graph caches")
    output: Path | None = common.output(
        None, "file.csv, .jsonl, .extxyz, .json, .magmom or .cif; default CSV on stdout"
    )
    format: Literal["csv", "table", "jsonl", "extxyz", "pymatgen", "magmom", "cif"] | None = option(
        None,
        "default by the output's ending; table: for people, default on a terminal; pymatgen: JSON; "
        "magmom: for an INCAR; cif: structures",
    )
    labels: tuple[str, ...] = common.labels()
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    allow_unseen_elements: bool = option(False, "predict structures with elements training never saw")
    as_results: bool = option(False, "extended XYZ: energy (total, eV), forces, stress as ASE's own results")
    latent: Path | None = option(None, "write what the network makes of every site: file.npz", metavar="FILE")
    similar: Path | None = option(None, "list for every site those of this --latent file most like it", metavar="FILE")
    batch_size: int = common.batch_size()
    device: str = common.device()
    threads: int = common.threads()
    jobs: int = common.readers()
    scheduler: str = common.scheduler()
    seconds_per_file: float = common.seconds_per_file()
    memory_per_job: float = common.memory_per_job()
    pictures: str = common.pictures()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", ",".join(formats(self.pictures)))
