"""Options of the parts of this package, with units, defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option


@dataclass(frozen=True)
class KnnOptions:
    """Featurizer ``cgcnn``: what fixes the edges."""

    cutoff: float = option(8.0, "neighbors within this distance", unit="Å", min=0.5, max=30.0)
    max_neighbors: int = option(12, "nearest neighbors kept per atom", min=1, max=1000)
    ties: Literal["keep", "cut"] = option("cut", "neighbors tied with the last one: keep all, or cut as published")


@dataclass(frozen=True)
class SymmetryOptions(KnnOptions):
    """Featurizer ``symmetry``: what fixes the edges."""

    ties: Literal["keep", "cut"] = option("keep", "neighbors tied with the last one: keep all, or cut as published")
    symprec: float = option(
        1e-3, "atoms that a symmetry takes onto each other within this are equal", unit="Å", min=1e-6, max=0.1
    )


@dataclass(frozen=True)
class RadiusOptions:
    """Featurizer ``radius``: what fixes the edges."""

    cutoff: float = option(6.0, "neighbors within this distance, all of them", unit="Å", min=0.5, max=30.0)


@dataclass(frozen=True)
class EmbedOptions:
    """What turns a graph into features."""

    atom_features: Literal["onehot92", "learned"] = option(
        "onehot92", "element features: the table released with CGCNN, or a learned row per element"
    )
    gaussian_step: float = option(0.2, "distance and width of the Gaussians", unit="Å", min=0.01, max=2.0)


@dataclass(frozen=True)
class RadiusEmbedOptions(EmbedOptions):
    """What turns a graph with all neighbors into features."""

    atom_features: Literal["onehot92", "learned"] = option(
        "learned", "element features: the table released with CGCNN, or a learned row per element"
    )
    envelope: Literal["polynomial", "cosine", "xplor"] = option(
        "polynomial", "smooth cutoff that messages are multiplied with; xplor leaves them alone up to 0.9 of it"
    )


@dataclass(frozen=True)
class CgcnnOptions:
    """Architecture ``cgcnn``."""

    n_conv: int = option(3, "convolutions", min=1, max=20)
    width: int = option(64, "features per atom", min=1, max=4096)
    norm: Literal["batch", "none", "layer"] = option("batch", "normalisation in the convolutions")
    activation: Literal["softplus", "relu", "silu", "tanh", "leaky_relu"] = option("softplus", "non-linearity g")
    outer_activation: bool = option(True, "apply softplus after each convolution")
    message_scale: Literal["one", "neighbors"] = option(
        "one", "multiply summed messages by 1, or by 1/√n̄ with n̄ the mean neighbor count"
    )
    edge_gain: float = option(1.0, "initial weights of the distances times this", min=0.01, max=100.0)


@dataclass(frozen=True)
class LcgcnOptions(CgcnnOptions):
    """Architecture ``lcgcn``: the same convolution as in its paper, without norm and outer activation."""

    n_conv: int = option(1, "convolutions", min=1, max=20)
    norm: Literal["batch", "none", "layer"] = option("none", "normalisation in the convolutions")
    outer_activation: bool = option(False, "apply softplus after each convolution")
    edge_gain: float = option(4.0, "initial weights of the distances times this", min=0.01, max=100.0)


@dataclass(frozen=True)
class LcgcnFfOptions:
    """Architecture ``lcgcn-ff``."""

    n_conv: int = option(2, "gated convolutions", min=1, max=20)
    width: int = option(32, "features per atom", min=1, max=4096)
    intervals: int = option(24, "knots of the gates between 0 and the cutoff", min=4, max=1000)


@dataclass(frozen=True)
class RidgeHeadOptions:
    """Head ``ridge``."""

    pool: Literal["average", "max", "fcmax", "smoothmax", "sum"] = option(
        "average",
        "average: layers on every atom, then their mean; max, smoothmax, fcmax (after a linear map): maxima over the "
        "atoms, then the layers; sum: as average, for totals",
    )
    by: Literal["auto", "element", "crystal"] = option(
        "auto", "pool and weigh the atoms of each element apart, or all atoms alike; auto: apart where elements are few"
    )
    pool_beta: float = option(10.0, "of smoothmax: small as the average, large as the maximum", min=1e-6, max=1e6)
    hidden: int = option(128, "width of the layers before the one that is solved", min=1, max=4096)
    n_hidden: int = option(1, "layers before the one that is solved", min=1, max=20)


@dataclass(frozen=True)
class CrystalHeadOptions:
    """Head ``crystal``."""

    pool: Literal["average", "max", "fcmax", "smoothmax", "sum"] = option(
        "average",
        "pooling over the atoms; fcmax: maximum after a linear map; smoothmax: between average and max; "
        "sum: a total, summed over the atoms",
    )
    pool_beta: float = option(10.0, "of smoothmax: small as the average, large as the maximum", min=1e-6, max=1e6)
    pool_norm: Literal["none", "batch"] = option(
        "none", "normalise the pooled vector over the batch; needed where crystals differ little, as along a trajectory"
    )
    hidden: int = option(128, "width of the fully connected layers", min=1, max=4096)
    n_hidden: int = option(1, "fully connected layers", min=1, max=20)
    dropout: float = option(0.5, "dropout of a classification", min=0.0, max=0.95)
    noise: Literal["none", "learned"] = option(
        "none",
        "learned: a second output is the sigma of the value, taught by the likelihood that suits --loss l1 or mse",
    )
    noise_beta: float = option(
        0.5, "learned noise: 0 plain likelihood, 1 as much weight to noisy labels as without noise", min=0.0, max=1.0
    )
