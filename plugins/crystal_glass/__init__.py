"""``crystal pack`` and ``crystal glass`` as a plugin: from a formula to a glass; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crystal_glass.pack_options import PackOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part, Workflow
from crystalcli.contracts.workflow import Host, Request, Shown, Work


def _prepare_pack(request: Request, host: Host) -> Work:
    from crystal_glass.pack_work import Packing

    return Packing(request, host)


def _show_pack(report: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import packed_boxes

    return packed_boxes(report)


def _plan_pack(described: Mapping[str, Any]) -> Shown:
    from crystal_glass.view import planned_boxes

    return planned_boxes(described)


def _example_pack(_folder: Path) -> list[str]:
    return ["Ti2O3", "Al0.3Ni0.7", "--atoms", "40", "--replicas", "2"]


PACK = Workflow(
    name="pack",
    summary="Pack atoms of a composition into random boxes without overlaps, as the beginning of a melt.",
    help="""Writes boxes as extended XYZ, and in each where its volume is from. A box depends on its composition,
replica, seed and the options of the box, and on nothing else.""",
    options=PackOptions,
    home="file",
    resumes=False,
    prepare=_prepare_pack,
    show=_show_pack,
    plan=_plan_pack,
    example=_example_pack,
    references=("10.1103/PhysRevLett.97.170201",),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the workflows."""
    return [PACK]
