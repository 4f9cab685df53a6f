"""Relaxers ``fire``, ``bfgs`` and ``lbfgs``; loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_relaxers.options import BfgsOptions, FireOptions, LbfgsOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Part, Relaxer

if TYPE_CHECKING:
    from crystalcli.contracts.dynamics import RelaxerModule


def _fire(options: FireOptions) -> RelaxerModule:
    from crystal_relaxers.fire import Fire

    return Fire(options)


def _bfgs(options: BfgsOptions) -> RelaxerModule:
    from crystal_relaxers.ase_optimizers import bfgs

    return bfgs(options)


def _lbfgs(options: LbfgsOptions) -> RelaxerModule:
    from crystal_relaxers.ase_optimizers import lbfgs

    return lbfgs(options)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the relaxers."""
    return [
        Relaxer(
            name="fire",
            default=True,
            summary="fast inertial relaxation engine 2.0, all structures of a batch at once; robust",
            options=FireOptions,
            build=_fire,
            references=("10.1103/PhysRevLett.97.170201", "10.1016/j.commatsci.2020.109584"),
        ),
        Relaxer(
            name="bfgs",
            summary="ASE's BFGS, one structure after the other; few steps, slow beyond some hundred atoms",
            options=BfgsOptions,
            build=_bfgs,
            references=("10.1088/1361-648X/aa680e",),
        ),
        Relaxer(
            name="lbfgs",
            summary="ASE's L-BFGS, one structure after the other; few steps, for large structures too",
            options=LbfgsOptions,
            build=_lbfgs,
            references=("10.1007/BF01589116", "10.1088/1361-648X/aa680e"),
        ),
    ]
