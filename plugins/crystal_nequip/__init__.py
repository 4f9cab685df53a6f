"""NequIP as parts; loads no torch. Architectures ``nequip``, ``nequip-tiny`` and ``nequip-paper``, one network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_nequip.options import NequipOptions, PaperOptions, TinyOptions
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture, Part, Recipe, Statistics

if TYPE_CHECKING:
    from crystalcli.contracts.modules import ArchitectureModule

NEQUIP_PAPER = "S. Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5"
AMORPHOUS_PAPER = "M. Aykol, J. N. Wei, S. Batzner, A. Merchant, E. D. Cubuk, SynS & ML workshop, ICML 2023"


def _build(
    options: NequipOptions,
    node_dim: int,
    edge_dim: int,  # noqa: ARG001
    statistics: Statistics,
) -> ArchitectureModule:
    from crystal_nequip.architecture import Nequip

    return Nequip(node_dim, options, statistics)


def _architecture(name: str, summary: str, options: type, recipe: Recipe) -> Architecture:
    return Architecture(
        name=name,
        summary=summary,
        options=options,
        build=_build,
        featurizer="radius",
        head="energy",
        partner_options={"energy": {"hidden": 0}},
        recipe=recipe,
        requires=frozenset({"smooth-cutoff"}),
        provides=frozenset({"nodes"}),
        references=(NEQUIP_PAPER, AMORPHOUS_PAPER),
    )


RECIPE = Recipe(loss="mse", optimizer="adam", lr=0.01, batch_size=4, epochs=60, schedule="one-cycle", ema=0.99)
NEQUIP = _architecture(
    "nequip", "equivariant messages of scalars, vectors and tensors: accurate from few frames", NequipOptions, RECIPE
)
TINY = _architecture("nequip-tiny", "the same with scalars and vectors only", TinyOptions, RECIPE)
PAPER = _architecture(
    "nequip-paper", "the same, wide, and even as in its paper on amorphous solids", PaperOptions, RECIPE
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the architectures."""
    return [NEQUIP, TINY, PAPER]
