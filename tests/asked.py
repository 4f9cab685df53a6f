"""Runs of workflows from tests, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.engine.host import life
from crystalcli.engine.host.life import Finished
from crystalcli.md.options import MdOptions
from crystalcli.md.workflow import MD
from crystalcli.relax.options import RelaxOptions
from crystalcli.relax.workflow import RELAX


def relax(
    inputs: Sequence[str | Path], potential: str | Path, output: Path, host: Host | None = None, **more: Any
) -> Finished:
    """What ``crystal relax INPUTS --potential POTENTIAL -o OUTPUT`` makes."""
    options = RelaxOptions(structures=tuple(map(str, inputs)), potential=str(potential), **more)
    return life.run(RELAX, Request(options, path=output), host or life.SILENT)


def md(
    inputs: Sequence[str | Path], potential: str | Path, output: Path, host: Host | None = None, **more: Any
) -> Finished:
    """What ``crystal md INPUTS --potential POTENTIAL -o OUTPUT`` makes."""
    options = MdOptions(structures=tuple(map(str, inputs)), potential=str(potential), **more)
    return life.run(MD, Request(options, path=output), host or life.SILENT)
