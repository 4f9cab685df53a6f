"""Values of sites: head ``site``, and the architecture ``neighborhood-mlp`` to measure others by. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crystal_site.options import NeighborhoodOptions, SiteOptions, total_of
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.records import Architecture, Head, Part, Recipe, Statistics
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    from crystalcli.contracts.modules import ArchitectureModule, HeadModule

PAPER = (
    "J. Karaguesian, J. R. Lunger, Y. Shao-Horn, R. Gómez-Bombarelli, Crystal graph convolutional neural networks for "
    "per-site property prediction, Machine Learning and the Physical Sciences, NeurIPS 2021"
)


def _site(
    options: SiteOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_site.head import SiteHead

    return SiteHead(options, shape.node_dim, targets, statistics)


def _neighborhood(
    options: NeighborhoodOptions,
    node_dim: int,
    edge_dim: int,
    statistics: Statistics,  # noqa: ARG001
) -> ArchitectureModule:
    from crystal_site.neighborhood import NeighborhoodMlp

    return NeighborhoodMlp(node_dim, edge_dim, options)


def _inputs(options: SiteOptions) -> tuple[str, ...]:
    total = total_of(options)
    return (total,) if isinstance(total, str) else ()


SITE = Head(
    name="site",
    summary="values of every atom: the layers of CGCNN without pooling",
    options=SiteOptions,
    build=_site,
    level="site",
    recipe={"batch_size": 8, "epochs": 60, "ema": 0.998},  # every atom is a label: few crystals make a batch
    inputs=_inputs,
    yardsticks=("neighborhood-mlp",),
    requires=frozenset({"nodes"}),
    references=(PAPER,),
)
NEIGHBORHOOD = Architecture(
    name="neighborhood-mlp",
    summary="baseline: fully connected layers on the sorted neighborhood of every atom",
    options=NeighborhoodOptions,
    build=_neighborhood,
    featurizer="cgcnn",
    head="site",
    partner_options={"site": {"hidden": 256, "n_hidden": 1}},
    recipe=Recipe(lr=2e-3, weight_decay=0.01),
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes"}),
    references=(PAPER,),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the head and the baseline."""
    return [SITE, NEIGHBORHOOD]
