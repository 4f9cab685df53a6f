"""CGCNN and LCGCN: featurizer ``cgcnn``, architectures ``cgcnn`` and ``lcgcn``, head ``crystal``. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from crystal_cgcnn.options import (
    CgcnnOptions,
    CrystalHeadOptions,
    EmbedOptions,
    KnnOptions,
    LcgcnOptions,
)
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.records import Architecture, Featurizer, Head, Part, Recipe

CGCNN_PAPER = "T. Xie, J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018), doi:10.1103/PhysRevLett.120.145301"
LCGCN_PAPER = "S. Sanyal et al., Potential energy surface prediction of Alumina polymorphs using graph neural network"


def _build(options):  # type: ignore[no-untyped-def]
    from crystal_cgcnn.featurizer import build

    return build(options)


def _embed(embed_options, options, statistics):  # type: ignore[no-untyped-def]
    from crystal_cgcnn.featurizer import CgcnnFeatures

    return CgcnnFeatures(embed_options, options)


def _cgcnn(options, node_dim, edge_dim, statistics):  # type: ignore[no-untyped-def]
    from crystal_cgcnn.architecture import ConvolutionStack

    return ConvolutionStack(node_dim, edge_dim, options)


def _head(options, embedding_dim, targets, statistics):  # type: ignore[no-untyped-def]
    from crystal_cgcnn.head import CrystalHead

    return CrystalHead(options, embedding_dim, targets, statistics)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the parts of this package."""
    return [
        Featurizer(
            name="cgcnn",
            summary="12 nearest neighbors within 8 Å, element features and Gaussians of the distance",
            options=KnnOptions,
            embed_options=EmbedOptions,
            build=_build,
            embed=_embed,
            provides=frozenset({"edges", "edge-features"}),
            references=(CGCNN_PAPER,),
        ),
        Architecture(
            name="cgcnn",
            summary="crystal graph convolutions with batch norm, as released",
            options=CgcnnOptions,
            build=_cgcnn,
            requires=frozenset({"edge-features"}),
            provides=frozenset({"nodes"}),
            references=(CGCNN_PAPER,),
        ),
        Architecture(
            name="lcgcn",
            summary="crystal graph convolutions without norm, for potential energy surfaces",
            options=LcgcnOptions,
            build=_cgcnn,
            partner_options={"crystal": {"pool": "fcmax"}},
            recipe=Recipe(batch_size=32, residual_of="none"),
            requires=frozenset({"edge-features"}),
            provides=frozenset({"nodes"}),
            references=(LCGCN_PAPER,),
        ),
        Head(
            name="crystal",
            summary="one value per crystal: pooling, then fully connected layers",
            options=CrystalHeadOptions,
            build=_head,
            requires=frozenset({"nodes"}),
            references=(CGCNN_PAPER, LCGCN_PAPER),
        ),
    ]
