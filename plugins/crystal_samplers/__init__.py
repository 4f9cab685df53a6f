"""Samplers ``nve``, ``nvt``, ``langevin`` and ``npt``; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the parts of this package."""
    return []
