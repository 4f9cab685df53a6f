"""Options of the architectures of this package: three sizes of one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option

Parity = Literal["natural", "even", "full"]
SelfConnection = Literal["species", "linear"]

L_MAX = 3
CHANNELS = "features of order l = 0, 1, …; the last number is that of all higher ones, too"


@dataclass(frozen=True)
class NequipOptions:
    """Architecture ``nequip``."""

    n_layers: int = option(3, "interactions, each of which reaches one cutoff farther", min=1, max=10)
    l_max: int = option(2, "highest order of harmonics and features; 0 knows distances only", min=0, max=L_MAX)
    channels: str = option("32-16-8", CHANNELS)
    parity: Parity = option(
        "natural",
        "features as they turn in a mirror: natural, that of the harmonics; even, all alike, so that mirror images may "
        "have other energies; full, both",
    )
    self_connection: SelfConnection = option(
        "species", "how an atom keeps its own features: a linear map of each element, or one for all"
    )
    bessel: int = option(8, "Bessel functions of the distance", min=1, max=64)
    trainable_bessel: bool = option(True, "learn their frequencies")
    basis_scale: float = option(
        0.5,
        "factor before 2 sin(ω r/R)/(r/R): with 1/R², as published, nobody is heard until weights have grown",
        min=1e-6,
        max=1e3,
    )
    radial_width: int = option(32, "width of the network of the distance that weights the products", min=1, max=1024)
    radial_layers: int = option(2, "its hidden layers", min=1, max=5)
    bias: bool = option(False, "let linear maps of scalars add a constant")


@dataclass(frozen=True)
class TinyOptions(NequipOptions):
    """Architecture ``nequip-tiny``."""

    n_layers: int = option(2, "interactions, each of which reaches one cutoff farther", min=1, max=10)
    l_max: int = option(1, "highest order of harmonics and features; 0 knows distances only", min=0, max=L_MAX)
    channels: str = option("16", CHANNELS)


@dataclass(frozen=True)
class PaperOptions(NequipOptions):
    """Architecture ``nequip-paper``."""

    channels: str = option("128-64-4", CHANNELS)
    parity: Parity = option(
        "even",
        "features as they turn in a mirror: natural, that of the harmonics; even, all alike, so that mirror images may "
        "have other energies; full, both",
    )
    radial_width: int = option(64, "width of the network of the distance that weights the products", min=1, max=1024)
