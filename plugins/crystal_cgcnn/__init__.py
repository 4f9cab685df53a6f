"""CGCNN and LCGCN as parts; loads no torch.

Featurizers ``cgcnn``, ``symmetry``, ``radius``, architectures ``cgcnn``, ``lcgcn``, ``lcgcn-ff``, heads ``crystal``,
``ridge``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from crystal_cgcnn.options import (
    CgcnnOptions,
    CrystalHeadOptions,
    EmbedOptions,
    KnnOptions,
    LcgcnFfOptions,
    LcgcnOptions,
    RadiusEmbedOptions,
    RadiusOptions,
    RidgeHeadOptions,
    SymmetryOptions,
)
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.irreps import EmbeddingShape
from crystalcli.contracts.records import Architecture, Featurizer, Head, Part, Recipe, Statistics
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    import ase

    from crystalcli.contracts.modules import ArchitectureModule, FeaturesModule, HeadModule, StackedMembers
    from crystalcli.nouns.arrays import GraphArrays

CGCNN_PAPER = "T. Xie, J. C. Grossman, Phys. Rev. Lett. 120, 145301 (2018), doi:10.1103/PhysRevLett.120.145301"
SPGLIB = "A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater. Methods 4, 2384822 (2024)"
ASYMMETRIC_UNITS = (
    "R. Ruff, P. Reiser, J. Stühmer, P. Friederich, Digital Discovery 3, 594 (2024), doi:10.1039/D4DD00018H"
)
LCGCN_PAPER = "S. Sanyal et al., Potential energy surface prediction of Alumina polymorphs using graph neural network"
VARIABLE_PROJECTION = "G. H. Golub, V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), doi:10.1137/0710036"


def _build_nearest(options: KnnOptions) -> Callable[[ase.Atoms], GraphArrays]:
    from crystal_cgcnn.edges import build_nearest

    return build_nearest(options)


def _build_symmetry(options: SymmetryOptions) -> Callable[[ase.Atoms], GraphArrays]:
    from crystal_cgcnn.edges import build_symmetry

    return build_symmetry(options)


def _build_radius(options: RadiusOptions) -> Callable[[ase.Atoms], GraphArrays]:
    from crystal_cgcnn.edges import build_radius

    return build_radius(options)


def _embed_nearest(embed_options: EmbedOptions, options: KnnOptions, statistics: Statistics) -> FeaturesModule:  # noqa: ARG001
    from crystal_cgcnn.featurizer import CgcnnFeatures

    return CgcnnFeatures(embed_options, options)


def _embed_radius(embed_options: RadiusEmbedOptions, options: RadiusOptions, statistics: Statistics) -> FeaturesModule:
    from crystal_cgcnn.featurizer import RadiusFeatures

    return RadiusFeatures(embed_options, options, statistics)


def _convolutions(options: CgcnnOptions, node_dim: int, edge_dim: int, statistics: Statistics) -> ArchitectureModule:
    from crystal_cgcnn.architecture import ConvolutionStack

    return ConvolutionStack(node_dim, edge_dim, options, statistics)


def _stack(members: Sequence[Any]) -> StackedMembers | None:
    from crystal_cgcnn.stacked import StackedConvolutions

    return StackedConvolutions.of(members)


def _force_field(
    options: LcgcnFfOptions,
    node_dim: int,
    edge_dim: int,  # noqa: ARG001
    statistics: Statistics,
) -> ArchitectureModule:
    from crystal_cgcnn.force_field import ForceField

    return ForceField(node_dim, options, statistics)


def _head(
    options: CrystalHeadOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_cgcnn.head import CrystalHead

    return CrystalHead(options, shape.node_dim, targets, statistics)


def _ridge(
    options: RidgeHeadOptions, shape: EmbeddingShape, targets: tuple[Quantity, ...], statistics: Statistics
) -> HeadModule:
    from crystal_cgcnn.ridge_head import RidgeHead

    return RidgeHead(options, shape.node_dim, targets, statistics)


NEAREST = Featurizer(
    name="cgcnn",
    default=True,
    summary="12 nearest neighbors within 8 Å, element features and Gaussians of the distance",
    options=KnnOptions,
    embed_options=EmbedOptions,
    build=_build_nearest,
    embed=_embed_nearest,
    provides=frozenset({"edges", "edge-features"}),
    references=(CGCNN_PAPER,),
)

SYMMETRY = Featurizer(
    name="symmetry",
    summary="as cgcnn, with all tied neighbors, and says which atoms symmetry makes equal",
    options=SymmetryOptions,
    embed_options=EmbedOptions,
    build=_build_symmetry,
    embed=_embed_nearest,
    provides=frozenset({"edges", "edge-features"}),
    references=(CGCNN_PAPER, SPGLIB, ASYMMETRIC_UNITS),
)

RADIUS = Featurizer(
    name="radius",
    summary="all neighbors within a smooth cutoff, element features and Gaussians of the distance",
    options=RadiusOptions,
    embed_options=RadiusEmbedOptions,
    build=_build_radius,
    embed=_embed_radius,
    provides=frozenset({"edges", "edge-features", "smooth-cutoff"}),
    references=(CGCNN_PAPER,),
)

CGCNN = Architecture(
    name="cgcnn",
    default=True,
    summary="crystal graph convolutions with batch norm, as released",
    featurizer="cgcnn",
    head="crystal",
    options=CgcnnOptions,
    build=_convolutions,
    stack=_stack,
    recipe=Recipe(lr=5e-3, weight_decay=0.01, batch_size=128, epochs=150, ema=0.995),
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes"}),
    references=(CGCNN_PAPER,),
)

LCGCN = Architecture(
    name="lcgcn",
    summary="crystal graph convolutions without norm, for potential energy surfaces",
    featurizer="cgcnn",
    head="ridge",
    options=LcgcnOptions,
    build=_convolutions,
    stack=_stack,
    partner_options={"crystal": {"pool": "fcmax", "pool_norm": "batch"}, "cgcnn": {"atom_features": "learned"}},
    recipe=Recipe(loss="mse", lr=3e-3, batch_size=16, epochs=30, schedule="one-cycle", residual_of="auto"),
    requires=frozenset({"edge-features"}),
    provides=frozenset({"nodes"}),
    references=(LCGCN_PAPER,),
)

LCGCN_FF = Architecture(
    name="lcgcn-ff",
    summary="crystal graph convolutions with a smooth cutoff, for energies, forces and stress",
    options=LcgcnFfOptions,
    build=_force_field,
    featurizer="radius",
    head="energy",
    recipe=Recipe(optimizer="adam", lr=0.007, batch_size=4, epochs=40, schedule="one-cycle", ema=0.99),
    requires=frozenset({"smooth-cutoff"}),
    provides=frozenset({"nodes"}),
    references=(LCGCN_PAPER,),
)

CRYSTAL = Head(
    name="crystal",
    summary="one value per crystal: pooling, then fully connected layers",
    options=CrystalHeadOptions,
    build=_head,
    requires=frozenset({"nodes"}),
    references=(CGCNN_PAPER, LCGCN_PAPER),
)

RIDGE = Head(
    name="ridge",
    summary="one value per crystal: pooling, layers, and a last one solved in closed form",
    options=RidgeHeadOptions,
    build=_ridge,
    recipe={"epochs": 0, "residual_of": "none"},
    requires=frozenset({"nodes"}),
    references=(LCGCN_PAPER, VARIABLE_PROJECTION),
)


@hookimpl
def crystal_parts() -> Sequence[Part]:
    """Offer the parts of this package."""
    return [NEAREST, SYMMETRY, RADIUS, CGCNN, LCGCN, LCGCN_FF, CRYSTAL, RIDGE]
