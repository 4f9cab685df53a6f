"""Loggers: the numbers of a run as a table or for TensorBoard, while it works. Loads nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Logger, Part


def _table(_options: Any, folder: Path) -> Any:
    from crystal_loggers.table import Table

    return Table(folder / "log.csv")


def _tensorboard(_options: Any, folder: Path) -> Any:
    from crystal_loggers.board import Board

    return Board(folder / "tensorboard")


CSV = Logger(
    name="csv",
    summary="log.csv in the run folder: a row per step, a column per number",
    build=_table,
    writes=("log.csv",),
)
TENSORBOARD = Logger(
    name="tensorboard",
    summary="event files in the run folder; look at them with: tensorboard --logdir runs",
    build=_tensorboard,
    writes=("tensorboard",),
    package="tensorboard",
    install="pip install 'crystal-graphs[tensorboard]'",
)


@hookimpl
def crystal_parts() -> list[Part]:
    """The parts of this plugin."""
    return [CSV, TENSORBOARD]
