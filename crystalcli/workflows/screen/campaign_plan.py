"""What fixes a campaign, as plain values read from a TOML file; every key is checked before anything is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ase.data import chemical_symbols

from crystalcli.contracts import options as opt
from crystalcli.contracts.options import option
from crystalcli.mechanisms.phases.staging import Rule
from crystalcli.mechanisms.running import config
from crystalcli.mechanisms.running.stopping import seconds
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.thresholds import Threshold


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

    arch: str = option("cgcnn", "architecture")
    ensemble: int = option(5, "members", min=2)
    epochs: int = option(150, "epochs", min=1)
    lr: float = option(5e-3, "peak learning rate", min=0.0)
    batch_size: int = option(0, "structures per step; 0: as suits their number", min=0)
    residual_of: Literal["none", "auto", "mean", "elements", "pairs"] = option(
        "none", "baseline that the model corrects"
    )
    start: str = option("", "model that training starts from (key: from)")
    freeze_norm: Literal["auto", "yes", "no"] = option("auto", "whether statistics of batch norms stay")
    fractions: str = option("0.75,0.2,0.05", "shares of training, validation and test of every member")


@dataclass(frozen=True)
class Relaxing:
    """Keys of a stage with ``relax``; as the flags of ``crystal relax``."""

    cell: Literal["none", "isotropic", "full"] = option("none", "what of the cell is free")
    hold_atoms: bool = option(False, "atoms stay where they are in the cell: with an isotropic cell, volume only")
    pressure: float = option(0.0, "of the surroundings", unit="GPa")
    fmax: float = option(0.02, "every force is below", unit="eV/Å", min=0.0)
    smax: float = option(0.05, "every stress component is below", unit="GPa", min=0.0)
    steps: int = option(500, "moves at most", min=0)
    max_seconds: float = option(0.0, "time for one structure; 0: any", unit="s", min=0.0)
    relaxer: str = option("fire", "what moves the atoms")
    batch_size: int = option(16, "structures relaxed, and kept, together", min=1)
    dtype: Literal["float64", "float32"] = option("float64", "precision in which a model works")


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
    "relax": Relaxing,
    "command": Commanded,
    "outside": Outside,
    "file": Replayed,
    "given": opt.NoOptions,
}
TABLES_OF_KEYS = (Settings, Training, *KINDS.values())
"""All declarations of keys, for the check of the documentation."""
FLAGS = ("outside", "given")
"""Kinds that are switched on by ``true``."""


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Args:
        name: for tables and files. cost: of one structure, in any unit that all stages share.
        kind: relax, command, outside, file, given (the structures as they are).
        source: potential, command line or files.
        options: one of the classes above.
        parts: options of the potential and the relaxer, by their names.
        start: model that this stage's training starts from; empty: the campaign's.
    """

    name: str
    cost: float
    kind: str
    source: tuple[str, ...]
    options: Any
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    start: str = ""

    @property
    def gives_formation(self) -> bool:
        """Whether its energies are formation energies already."""
        return isinstance(self.options, Energies) and self.options.formation


@dataclass(frozen=True)
class References:
    """Where formation energies are counted from, and phases that are known.

    Args:
        energies: of the elements, eV/atom, by symbol.
        elements: files with structures of the elements, which go through all stages.
        phases: files with phases of known formation energy. label: what they call it.
    """

    energies: Mapping[str, float] = field(default_factory=dict)
    elements: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    label: str = "formation_energy_per_atom"


@dataclass(frozen=True)
class CampaignPlan:
    """Everything that fixes a campaign, and how this call runs it.

    Args:
        candidates: files. settings, training, stages, references: of the plan.
        part_options: of architecture, head and featurizer, by name.
        kappas: for the cost–recall curve; empty: none.
        output, latest, device, threads, jobs, overwrite: of this call; they do not change results.
        config: table for the folder's config.toml.
    """

    candidates: tuple[str, ...]
    settings: Settings
    training: Training
    stages: tuple[StagePlan, ...]
    references: References
    part_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kappas: tuple[float, ...] = ()
    output: str = ""
    latest: bool = False
    device: str = "auto"
    threads: int = 0
    jobs: int = 1
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def rule(self, kappa: float | None = None) -> Rule:
        """How candidates are decided on; with another κ if given."""
        s = self.settings
        threshold = Threshold.parse(s.threshold) if kappa is None else Threshold(kappa, "sigma")
        return Rule(threshold, s.robust, s.discarded == "stay")

    @property
    def costs(self) -> list[float]:
        """Of the stages."""
        return [s.cost for s in self.stages]

    def facts(self) -> dict[str, Any]:
        """What results depend on, as plain values."""
        every = asdict(self)
        return {k: v for k, v in every.items() if k not in FREE}


FREE = frozenset({"output", "latest", "device", "threads", "jobs", "overwrite", "config"})
TABLES = ("references", "training")


def read(path: Path, candidates: Sequence[str], **call: Any) -> CampaignPlan:
    """Read and check a plan.

    Args:
        path: the TOML file.
        candidates: of the command line; they take the place of the plan's.
        call: further fields of :class:`CampaignPlan`.

    Raises:
        UsageError: unknown keys, values that make no sense, no candidates or no stages; names the file.
    """
    layer = config.read(path)
    try:
        return _plan(dict(layer.data), candidates, call)
    except UsageError as problem:
        if problem.path is None:
            raise UsageError(problem.reason, path=path) from problem
        raise


def _plan(data: dict[str, Any], candidates: Sequence[str], call: Mapping[str, Any]) -> CampaignPlan:
    inputs = list(candidates) or _texts(data, "candidates")
    data.pop("candidates", None)
    kappas = data.pop("kappas", [])
    if not isinstance(kappas, list) or not all(isinstance(k, (int, float)) and k >= 0 for k in kappas):
        raise UsageError("kappas must be a list of numbers ≥ 0")
    stages = data.pop("stages", [])
    if not isinstance(stages, list) or len(stages) < 2 or not all(isinstance(s, dict) for s in stages):
        raise UsageError("a campaign has two [[stages]] or more")
    tables = {name: data.pop(name, {}) for name in TABLES}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"'{name}' must be a table, [{name}]")
    training, parts = _training(tables["training"])
    plan = CampaignPlan(
        candidates=tuple(inputs),
        settings=opt.make(Settings, data, owner="the plan"),
        training=training,
        stages=tuple(_stage(dict(s), number) for number, s in enumerate(stages, 1)),
        references=_references(tables["references"]),
        part_options=parts,
        kappas=tuple(float(k) for k in kappas),
        **call,
    )
    _check(plan)
    return plan


def _check(plan: CampaignPlan) -> None:
    if not plan.candidates:
        raise UsageError('no candidates; name them on the command line or as candidates = ["FILES"]')
    twice = [n for n, k in Counter(s.name for s in plan.stages).items() if k > 1]
    if twice:
        raise UsageError(f"two stages are called '{twice[0]}'")
    if not any(plan.costs):
        raise UsageError("a stage needs a cost above 0")
    last = plan.stages[-1]
    if last.kind == "given":
        raise UsageError(f"the last stage ('{last.name}') gives the final energies; it cannot be given = true")
    if plan.kappas and Threshold.parse(plan.settings.threshold).kind != "sigma":
        raise UsageError("kappas needs a threshold in sigma")
    replayed = all(s.kind in ("file", "given") for s in plan.stages)
    if plan.kappas and not replayed:
        raise UsageError("kappas needs data that hold all stages: every stage with file or given")
    references = plan.references
    if not last.gives_formation and not references.energies and not references.elements:
        raise UsageError(
            f"stage '{last.name}' gives total energies: [references] must say what the elements have, as a table "
            '(Cu = -3.72, eV/atom) or as structures (elements = ["FILES"]); or say formation = true'
        )
    plan.rule()


def _training(table: dict[str, Any]) -> tuple[Training, dict[str, Any]]:
    parts = {k: v for k, v in table.items() if isinstance(v, dict)}
    flat = {k: v for k, v in table.items() if k not in parts and k != "from"}
    if "start" in flat:
        raise UsageError("[training] has no key 'start'; the model that training starts from is called from")
    if "from" in table:
        flat["start"] = _path(table["from"])
    return opt.make(Training, flat, owner="[training]"), parts


def _references(table: dict[str, Any]) -> References:
    energies = {k: v for k, v in table.items() if k in chemical_symbols}
    rest = {k: v for k, v in table.items() if k not in energies}
    known = ("elements", "phases", "label")
    for key in rest:
        if key not in known:
            raise UsageError(f"[references] has no key '{key}', which is no element either; {did_you_mean(key, known)}")
    wrong = [k for k, v in energies.items() if isinstance(v, bool) or not isinstance(v, (int, float))]
    if wrong:
        raise UsageError(f"[references] {wrong[0]} must be a number, eV/atom")
    label = rest.get("label", References.label)
    if not isinstance(label, str):
        raise UsageError("[references] label must be a text")
    numbers = {k: float(v) for k, v in energies.items()}
    return References(numbers, tuple(_texts(rest, "elements")), tuple(_texts(rest, "phases")), label)


def _stage(table: dict[str, Any], number: int) -> StagePlan:
    name = table.pop("name", f"stage{number}")
    if not isinstance(name, str) or not name or not all(c.isalnum() or c in "_-" for c in name):
        raise UsageError(f"stage {number}: its name must be of letters, digits, - and _")
    owner = f"stage '{name}'"
    cost = table.pop("cost", None)
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < float("inf"):
        raise UsageError(f"{owner} needs a cost: what one structure costs, a number ≥ 0")
    kinds = [k for k in KINDS if k in table]
    if len(kinds) != 1:
        raise UsageError(f"{owner} needs one of {', '.join(KINDS)}" + (f", not {' and '.join(kinds)}" if kinds else ""))
    kind = kinds[0]
    if kind in FLAGS:
        if table.pop(kind) is not True:
            raise UsageError(f"{owner}: {kind} can be true only")
        source: tuple[str, ...] = ()
    elif kind == "file":
        source = tuple(_texts(table, "file"))
        table.pop("file")
    else:
        source = (table.pop(kind),)
        if not isinstance(source[0], str) or not source[0].strip():
            raise UsageError(f"{owner}: {kind} must be a text")
        source = (_path(source[0]),) if kind == "relax" else source
    start = _path(table.pop("from", ""))
    parts = {k: table.pop(k) for k in list(table) if isinstance(table[k], dict)}
    if parts and kind != "relax":
        raise UsageError(f"{owner}: table '{next(iter(parts))}' belongs to no part of it")
    options: Any = opt.make(KINDS[kind], table, owner=owner)
    _check_stage(options, owner, source)
    return StagePlan(name, float(cost), kind, source, options, parts, start)


def _check_stage(options: Any, owner: str, source: tuple[str, ...]) -> None:
    if not isinstance(options, Commanded):
        return
    seconds(options.timeout)
    missing = [w for w in ("{input}", "{output}") if w not in source[0]]
    if missing:
        raise UsageError(f"{owner}: the command lacks {missing[0]}: it is given {{input}} and {{output}}, extxyz files")


def _texts(table: Mapping[str, Any], key: str) -> list[str]:
    """One text or a list of texts, as names of files."""
    value = table.get(key, [])
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(t, str) and t for t in given):
        raise UsageError(f"{key} must be names of files")
    return [_path(t) for t in given]


def _path(text: Any) -> str:
    """A name of a file with ``$VARIABLES`` filled in."""
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is no name of a file")
    return os.path.expandvars(text)
