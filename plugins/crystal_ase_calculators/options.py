"""Flags of the calculators; loads nothing of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from crystalcli.contracts.options import option

Precision = Literal["float64", "float32"]


def _where() -> Any:
    return option("cpu", "where the network computes: cpu, cuda, cuda:1, mps")


@dataclass(frozen=True)
class ChgnetOptions:
    """Which of the networks in the package, or a file."""

    model: Literal["0.3.0", "r2scan", "0.2.0"] = option("0.3.0", "of those in the package: PBE+U, or r2SCAN")
    file: str = option("", "in its place, a network of your own (.pth.tar), which torch unpickles", runs=True)
    place: str = _where()


@dataclass(frozen=True)
class MaceOptions:
    """Which network."""

    model: str = option(
        "medium-mpa-0", "a name (small, medium, large, medium-mpa-0, …) or a file, which torch unpickles", runs=True
    )
    kind: Literal["mp", "off"] = option("mp", "whose name it is: of materials, or of organic molecules (MACE-OFF)")
    head: str = option("", "of a network with several")
    dispersion: bool = option(False, "add D3 (of materials; needs torch-dftd)")
    precision: Precision = option("float64", "in which it computes")
    place: str = _where()


@dataclass(frozen=True)
class MatglOptions:
    """Which network."""

    model: str = option(
        "TensorNet-PES-MatPES-PBE-2025.2",
        "a name on its hub, or a folder; model.json says what is run",
        runs=True,
    )
    place: str = _where()


@dataclass(frozen=True)
class OrbOptions:
    """Which network."""

    model: str = option("orb-v3-conservative-inf-omat", "a name; inf: without jumps, conservative: forces derived")
    file: str = option("", "weights of it in a file, in place of those it downloads", runs=True)
    precision: Literal["float32-high", "float32-highest", "float64"] = option(
        "float32-highest", "in which it computes; high: less than single, on a GPU"
    )
    place: str = _where()


@dataclass(frozen=True)
class MattersimOptions:
    """Which network."""

    model: str = option("MatterSim-v1.0.0-1M.pth", "a name (…-1M.pth, …-5M.pth) or a file", runs=True)
    precision: Precision = option("float32", "in which it computes; float64 from version 1.2 on")
    place: str = _where()


@dataclass(frozen=True)
class FairchemOptions:
    """Which network, and which of its levels of theory."""

    model: str = option("uma-s-1p2", "a name, whose licence is to be accepted at its hub, or a file", runs=True)
    task: Literal["omat", "omol", "oc20", "odac", "omc"] = option("omat", "inorganic, molecules, catalysts, MOFs, …")
    settings: Literal["default", "high-precision", "batch", "multigpu", "nitro", "turbo"] = option(
        "default", "of inference"
    )
    place: str = _where()


@dataclass(frozen=True)
class LammpsOptions:
    """The commands that make a potential; silicon by Stillinger and Weber where nothing is said."""

    pair_style: str = option("sw", "its pair_style with arguments: 'sw', 'eam/alloy', 'tersoff', 'meam'", runs=True)
    file: str = option("Si.sw", "a file, here or among those that come with the package", runs=True)
    species: str = option("Si", "elements that are known, in the order of types: Si,O")
    pair_coeff: str = option("", "arguments of pair_coeff, several with ';'; default: * * FILE SPECIES", runs=True)
    commands: str = option("", "more commands before pair_style, with ';': 'set type 1 charge 2.4'", runs=True)
    charges: bool = option(False, "atoms have charges (atom_style charge)")


@dataclass(frozen=True)
class MatscipyOptions:
    """Which set of parameters."""

    parameters: str = option(
        "Stillinger_Weber_PRB_31_5262_Si",
        "a set by the name in matscipy: Stillinger–Weber, Kumagai, Tersoff, Brenner, Albe",
    )


@dataclass(frozen=True)
class AseOptions:
    """Any calculator of Python."""

    calculator: str = option("", "MODULE:CLASS, as ase.calculators.morse:MorsePotential, or a function", runs=True)
    arguments: str = option("{}", 'its named arguments as JSON: {"epsilon": 0.3}', runs=True)
    species: str = option("", "elements that it knows: Cu,Au; it says so itself where it is empty")
