"""What ``crystal screen`` asks, and the keys of a plan, table by table: every option once; the files that it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import NoOptions, option
from crystalcli.relax.options import Descent
from crystalcli.vocabulary.pictures import formats

TABLE, SURVIVORS, STAGES, STRUCTURES = "screening.csv", "survivors.txt", "stages.csv", "relaxed.extxyz"
PHASES = "phases.csv"
"""The known phases that shape the hulls of the candidates."""
HULL, CURVE = "hull-", "cost-recall"
WITHIN, BEYOND = "kept (E_hull ≤ threshold)", "removed (E_hull > threshold)"
"""What the two kinds of candidates are called where they are drawn."""
JOURNALS = "work"
"""Folder of the journals of the stages, which stay: results of others are in them."""
PREDICTIONS = "predictions"
"""Folder of the journals of predictions, while a run is under way."""
MODEL, MODELS = "model", "models"
"""Folder of the ensemble of a screening in one step; that of the ensembles of a campaign."""
CALLS = "calls"
"""Folder of the commands of stages."""
OUTSIDE, TO_DO = "outside", "-to-do"
"""Folder of what others do and bring; end of the names of the files there that say what is to be done."""

FAMILIES = {"arch": "architecture"}
"""Options that name a part → its family."""
FEWEST = 10
"""Structures that an ensemble can be trained on."""
DECISION, TRAINING = "Hull and decision", "Training (without --model)"

CALL = frozenset({"device", "threads", "jobs", "scheduler", "pictures", "results_of"})
"""Options that change no decision: they may differ when a run goes on, and stand beside ``--campaign``."""
GIVEN = "given"
FLAGS = ("outside", GIVEN)
"""Kinds that are switched on by ``true``."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """How candidates are decided on, in one step or several."""

    threshold: str = option(
        "2sigma", "a candidate goes if E_hull is larger: 2sigma, 2σ, 50meV, 0.05eV (per atom)", panel=DECISION
    )
    robust: float = option(
        1.0,
        "candidates with sigma_e above this quantile do not shape the hull; 1: all do",
        min=0.0,
        max=1.0,
        panel=DECISION,
    )
    seed: int = common.seed()


@dataclass(frozen=True, kw_only=True)
class EnsembleTraining:
    """How an ensemble is trained; what is not said is as the architecture's own recipe has it."""

    arch: str = option("", "architecture; empty: the default one", names="architecture", panel=TRAINING)
    ensemble: int = option(5, "members to train", min=2, panel=TRAINING)
    epochs: int | None = option(None, "epochs; default: as suits the architecture", min=1, panel=TRAINING)
    lr: float | None = option(None, "peak learning rate; default: as suits the architecture", min=0.0, panel=TRAINING)
    batch_size: int = option(0, "structures per step; 0: as suits their number", min=0, panel=TRAINING)


@dataclass(frozen=True, kw_only=True)
class ScreenOptions(Deciding, EnsembleTraining):
    """Everything that ``crystal screen`` asks."""

    candidates: tuple[str, ...] = option(
        (),
        "structure files or graph caches; without --model one cache (default graphs.h5) whose labelled part trains and "
        "whose rest is screened",
        argument=True,
        files=True,
        ends=True,
    )
    campaign: Path | None = option(
        None,
        "plan of a staged screening (TOML): relaxes, trains and decides stage by stage; default folder runs/PLAN, so "
        "that the same command goes on after a stop or a kill",
    )
    model: Path | None = option(None, "trained ensemble: model file, run folder or name", names=common.MODEL)
    references: tuple[str, ...] = option(
        (), "files or caches with phases of known formation energy; elements are added", files=True, panel=DECISION
    )
    cif_column: str = option(
        "", "column of a CSV of candidates that holds the CIF text, and of references where theirs has it"
    )
    id_column: str = option("", "column of a CSV of candidates that names the rows")
    reference_label: str = option(
        "",
        "what the references call it: KEY, KEY/atom of a total, KEY:UNIT; default the model's target",
        panel=DECISION,
    )
    target: str = option(
        "", "which label, or with --model which of its targets, is the formation energy", panel=DECISION
    )
    device: str = common.device()
    threads: int = common.threads()
    jobs: int = option(1, "campaign: relaxations or commands at a time", min=1, short="-j", panel=common.RUN)
    scheduler: str = option(
        "",
        "campaign: Dask cluster that relaxes: address, file, slurm:QUEUE:JOBS",
        metavar="ADDRESS",
        panel=common.RUN,
    )
    results_of: Path | None = option(
        None,
        "campaign: folder of another run, whose results of the same stages are taken where candidates are the same",
        panel=common.RUN,
    )
    pictures: str = common.pictures()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", ",".join(formats(self.pictures)))


@dataclass(frozen=True, kw_only=True)
class Settings(Deciding):
    """Keys that stand at the top of the plan."""

    cif_column: str = option("", "column of the candidates' table that holds their CIF texts")
    id_column: str = option("", "column of the candidates' table that names them")
    train: int = option(60, "candidates that go through all stages and are trained on", min=FEWEST)
    selection: Literal["random", "uncertainty", "on-hull", "diversity"] = option("random", "how they are chosen")
    rounds: int = option(4, "selections other than random: rounds of choosing and training", min=2)
    discarded: Literal["leave", "stay"] = option("leave", "whether removed candidates take part in later hulls")

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many candidates each round chooses; one round where nothing is trained between them."""
        rounds = self.rounds if self.selection in ("uncertainty", "on-hull") else 1
        least, more = divmod(self.train, rounds)
        return tuple(least + (k < more) for k in range(rounds))


@dataclass(frozen=True, kw_only=True)
class TrainingTable(EnsembleTraining):
    """Keys of ``[training]``; its sub-tables are options of the parts."""

    learn: Literal["energy", "difference"] = option(
        "energy", "final formation energies, or their difference from those of the stage"
    )
    residual_of: Literal["none", "auto", "mean", "elements", "pairs"] | None = option(
        None, "baseline that the model corrects; default: as suits the architecture"
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

    energy: str = option("energy", "what the files call the energy: KEY, KEY:UNIT, KEY/atom of a total")
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
    cif_column: str = option("", "column of tables among them that holds the CIF texts")
    id_column: str = option("", "column of tables among them that names the rows")


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
    GIVEN: NoOptions,
}
