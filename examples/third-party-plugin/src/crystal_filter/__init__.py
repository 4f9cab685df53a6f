"""Continuous-filter convolutions as a plugin of crystal: the records. Imports no torch; the build functions do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Architecture, Featurizer, Head, Part, Recipe

SCHNET = "K. T. Schütt et al., J. Chem. Phys. 148, 241722 (2018), doi:10.1063/1.5019779"


@dataclass(frozen=True)
class InverseOptions:
    """What fixes the edges; part of the fingerprint of a graph cache."""

    cutoff: float = option(5.0, "all neighbors within this distance", unit="Å", min=1.0, max=20.0)


@dataclass(frozen=True)
class InverseEmbedOptions:
    """What turns a graph into features; free to change without building the cache again."""

    powers: int = option(6, "highest inverse power of the distance", min=1, max=20)
    softness: float = option(1.0, "length a in (a/(a+r))^k", unit="Å", min=0.1, max=10.0)
    element_width: int = option(32, "learned features per element", min=1, max=512)


@dataclass(frozen=True)
class FilterOptions:
    """Architecture ``filter``."""

    n_conv: int = option(2, "convolutions", min=1, max=12)
    width: int = option(32, "features per atom", min=1, max=1024)


@dataclass(frozen=True)
class AttentionOptions:
    """Head ``attention``."""

    heads: int = option(1, "sets of weights over the atoms", min=1, max=16)
    hidden: int = option(64, "width of the hidden layer", min=1, max=1024)


def _build(options: InverseOptions) -> Any:
    from crystalcli.nouns.neighbors import build_graph

    return lambda atoms: build_graph(atoms, cutoff=options.cutoff)


def _embed(embed_options: InverseEmbedOptions, options: InverseOptions, _statistics: Any) -> Any:
    from crystal_filter.modules import InverseFeatures

    return InverseFeatures(embed_options, options)


def _filter(options: FilterOptions, node_dim: int, edge_dim: int, statistics: Any) -> Any:
    from crystal_filter.modules import FilterNet

    return FilterNet(options, node_dim, edge_dim, statistics)


def _attention(options: AttentionOptions, shape: EmbeddingShape, targets: Any, statistics: Any) -> Any:
    from crystal_filter.modules import AttentionHead

    return AttentionHead(options, shape.node_dim, targets, statistics)


INVERSE = Featurizer(
    name="inverse",
    summary="all neighbors within a smooth cutoff, learned elements and softened inverse powers of the distance",
    options=InverseOptions,
    embed_options=InverseEmbedOptions,
    build=_build,
    embed=_embed,
    provides=frozenset({"edges", "edge-features", "smooth-cutoff"}),
)
FILTER = Architecture(
    name="filter",
    summary="continuous-filter convolutions",
    options=FilterOptions,
    build=_filter,
    featurizer="inverse",
    head="attention",
    recipe=Recipe(epochs=60, lr=3e-3, batch_size=32),
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes"}),
    references=(SCHNET,),
)
ATTENTION = Head(
    name="attention",
    summary="a weighted mean over the atoms, with learned weights",
    options=AttentionOptions,
    build=_attention,
    requires=frozenset({"nodes"}),
)


@hookimpl
def crystal_parts() -> list[Part]:
    """Offer the parts of this package."""
    return [INVERSE, FILTER, ATTENTION]
