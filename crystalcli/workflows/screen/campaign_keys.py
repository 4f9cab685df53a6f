"""The keys of a campaign's plan, table by table: what they mean, their defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import NoOptions, option
from crystalcli.workflows.relax.relax_options import Descent


@dataclass(frozen=True)
class Settings:
    """Keys that stand at the top of the plan."""

    cif_column: str = option("", "column of the candidates' table that holds their CIF texts")
    id_column: str = option("", "column of the candidates' table that names them")
    train: int = option(60, "candidates that go through all stages and are trained on", min=10)
    selection: Literal["random", "uncertainty", "on-hull", "diversity"] = option("random", "how they are chosen")
    rounds: int = option(4, "selections other than random: rounds of choosing and training", min=2)
    threshold: str = option("2sigma", "a candidate goes if E_hull is larger")
    robust: float = option(1.0, "candidates with sigma_e above this quantile do not shape the hull", min=0.0, max=1.0)
    discarded: Literal["leave", "stay"] = option("leave", "whether removed candidates take part in later hulls")
    seed: int = option(0, "of everything random", min=0)


@dataclass(frozen=True)
class Training:
    """Keys of ``[training]``; its sub-tables are options of the parts."""

    arch: str = option("", "architecture; empty: the default one")
    ensemble: int = option(5, "members", min=2)
    learn: Literal["energy", "difference"] = option(
        "energy", "final formation energies, or their difference from those of the stage"
    )
    epochs: int = option(0, "epochs; 0: as suits the architecture", min=0)
    lr: float = option(0.0, "peak learning rate; 0: as suits the architecture", min=0.0)
    batch_size: int = option(0, "structures per step; 0: as suits the architecture and their number", min=0)
    residual_of: Literal["suited", "none", "auto", "mean", "elements", "pairs"] = option(
        "suited", "baseline that the model corrects; suited: what suits the architecture"
    )
    start: str = option("", "model that training starts from (key: from)")
    freeze_norm: Literal["auto", "yes", "no"] = option("auto", "whether statistics of batch norms stay")
    fractions: str = option("0.75,0.2,0.05", "shares of training, validation and test of every member")


@dataclass(frozen=True, kw_only=True)
class Relaxing(Descent):
    """Keys of a stage with ``potential``: those of ``crystal relax``, and one more."""

    hold_atoms: bool = option(False, "atoms stay where they are in the cell: with an isotropic cell, volume only")


@dataclass(frozen=True)
class Energies:
    """Keys of a stage whose results are read: where its energies are."""

    energy: str = option("energy", "what the files call the energy")
    formation: bool = option(False, "it is a formation energy in eV/atom, not a total energy in eV")


@dataclass(frozen=True)
class Commanded(Energies):
    """Keys of a stage with ``command``."""

    batch: int = option(1, "structures that one call gets", min=1)
    timeout: str = option("", "a call that takes longer is ended: 90m, 2h; empty: any")


@dataclass(frozen=True)
class Outside(Energies):
    """Keys of a stage with ``outside``."""

    results: str = option("", "file or folder with the results; empty: outside/STAGE of the run folder")


@dataclass(frozen=True)
class Replayed(Energies):
    """Keys of a stage with ``file``."""

    cif_column: str = option("", "column that holds the CIF texts")
    id_column: str = option("", "column that names the rows")


KINDS: dict[str, type] = {
    "potential": Relaxing,
    "command": Commanded,
    "outside": Outside,
    "file": Replayed,
    "given": NoOptions,
}
TABLES_OF_KEYS = (Settings, Training, *KINDS.values())
"""All declarations of keys, for the check of the documentation."""
FLAGS = ("outside", "given")
"""Kinds that are switched on by ``true``."""
