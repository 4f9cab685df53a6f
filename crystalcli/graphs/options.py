"""What ``crystal build-graphs`` asks: every option once, for flags, TOML and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Everything that ``crystal build-graphs`` asks."""

    inputs: tuple[str, ...] = common.inputs()
    output: Path = common.output(Path("graphs.h5"))
    featurizer: str = option("", "what makes the graphs", names="featurizer")
    targets: str = option("", "labels to take, comma-separated: [NAME=]KEY[/atom|*atoms][:UNIT]; none for none")
    fields: str = option(
        "",
        "per-site fields that models read, comma-separated: fixed (constraints), tags, any array of the files",
        metavar="NAMES",
    )
    limit: int = option(0, "so many structures only, the first that can be used; 0: all", min=0)
    require_labels: bool = option(False, "leave out structures that lack one of the targets")
    cif_column: str = common.cif_column()
    id_column: str = common.id_column()
    allow_failures: str = option("0", "exit 0 with up to so many failed inputs", metavar="N|P%")
    jobs: int = common.readers()
    scheduler: str = common.scheduler()
    shard: str = option(
        "", "do only every N-th block of 512 files, for array jobs; then run without to join", metavar="I/N"
    )
    seconds_per_file: float = common.seconds_per_file()
    memory_per_job: float = common.memory_per_job()
