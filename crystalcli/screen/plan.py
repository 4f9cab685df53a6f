"""What fixes a screening: its stages, what decides after them, and what that is trained on.

A screening in one step is a plan of one stage, in which structures stay as they are, and of the decision after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from crystalcli.contracts.options import specs
from crystalcli.contracts.records import Featurizer
from crystalcli.contracts.request import Request
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.screen.options import (
    FAMILIES,
    GIVEN,
    KINDS,
    Energies,
    EnsembleTraining,
    Relaxing,
    ScreenOptions,
    Settings,
    TrainingTable,
)
from crystalcli.screen.staging import Rule
from crystalcli.train.options import SplitOptions
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.thresholds import Threshold

CACHE = "graphs.h5"
"""Candidates of a screening in one step where none are named and an ensemble is trained."""


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Args:
        name: for tables and files. cost: of one structure, in any unit that all stages share.
        kind: potential, command, outside, file, given (the structures as they are).
        source: potential, command line or files.
        options: of the table of keys that ``kind`` has in :data:`crystalcli.screen.options.KINDS`.
        parts: options of the potential and the relaxer, by their names.
        start: model that this stage's training starts from; empty: the campaign's.
        learn: energy or difference; empty: as the campaign.
        model: trained model or ensemble that decides after the stage; empty: an ensemble is trained for it.
    """

    name: str
    cost: float
    kind: str
    source: tuple[str, ...]
    options: Any
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    start: str = ""
    learn: str = ""
    model: str = ""

    @property
    def stays(self) -> bool:
        """Whether structures come out as they went in: nothing is done, or energies only."""
        return self.kind == GIVEN or (isinstance(self.options, Relaxing) and self.options.steps == 0)

    def computes_as(self, other: StagePlan) -> bool:
        """Whether it is known to give the energy that ``other`` gives of the same structure."""
        if self.kind != other.kind or self.source != other.source or self.parts != other.parts:
            return False
        if isinstance(self.options, Relaxing):
            return bool(self.options.dtype == other.options.dtype)
        return self.kind == "file" and bool(self.options == other.options)

    @property
    def files(self) -> list[Path]:
        """What it reads: files of results, or the model that it relaxes with."""
        from crystalcli.engine.potential.potential_names import model_file

        if self.kind == "file":
            return expand(self.source)
        found = model_file(self.source[0]) if self.kind == "potential" else None
        return [found] if found else []

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
        phases: files or caches with phases of known formation energy. label: what they call it; empty: as the model.
        cif_column: of tables of elements and phases, where they have it.
    """

    energies: Mapping[str, float] = field(default_factory=dict)
    elements: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    label: str = "formation_energy_per_atom"
    cif_column: str = ""

    @cached_property
    def element_files(self) -> list[Path]:
        """What ``elements`` mean, found out once: a list on standard input can be read once."""
        return expand(self.elements)

    @cached_property
    def phase_files(self) -> list[Path]:
        """What ``phases`` mean, found out once."""
        return expand(self.phases)


@dataclass(frozen=True)
class CampaignPlan:
    """Everything that fixes a screening, and how this call runs it.

    Args:
        candidates: files. settings, training, stages, references: of the plan.
        trains_on: what ensembles are trained on: candidates that are chosen and go through all stages, those of the
            candidates' cache that are labelled, or nothing where all models are there.
        target: label of labelled candidates, or what a given model predicts, that is the formation energy; empty: the
            only one there is.
        part_options: of architecture, head and featurizer, by family.
        kappas: for the cost–recall curve; empty: none.
        call: device, threads, jobs, scheduler and pictures of this call, which do not change results.
    """

    candidates: tuple[str, ...]
    settings: Settings
    training: TrainingTable
    stages: tuple[StagePlan, ...]
    references: References
    trains_on: Literal["chosen", "labelled", "nothing"] = "chosen"
    target: str = ""
    part_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    kappas: tuple[float, ...] = ()
    call: ScreenOptions = field(default_factory=ScreenOptions)

    @cached_property
    def candidate_files(self) -> list[Path]:
        """What ``candidates`` mean, found out once: a list on standard input can be read once."""
        return expand(self.candidates)

    @property
    def ends_with_energies(self) -> bool:
        """Whether the last stage gives final energies; else it is decided on as the others are."""
        return self.trains_on == "chosen"

    @property
    def decisions(self) -> int:
        """After so many stages candidates are predicted, and some removed."""
        return len(self.stages) - self.ends_with_energies

    def ensemble_name(self, stage: int) -> str:
        """Name of the ensemble that is trained for ``stage``, and of its folder."""
        return f"{stage + 1}-{self.stages[stage].name}" if self.ends_with_energies else "ensemble"

    def rule(self, kappa: float | None = None) -> Rule:
        """How candidates are decided on; with another κ if given."""
        s = self.settings
        threshold = Threshold.parse(s.threshold) if kappa is None else Threshold(kappa, "sigma")
        return Rule(threshold, s.robust, s.discarded == "stay")

    def learns_difference(self, stage: int) -> bool:
        """Whether the ensemble of ``stage``, from 0, learns what is between its energies and the final ones."""
        return (self.stages[stage].learn or self.training.learn) == "difference"

    def learning_energies(self, stage: int) -> CampaignPlan:
        """The same plan, but that the ensemble of ``stage`` learns final energies."""
        stages = [replace(s, learn="energy") if k == stage else s for k, s in enumerate(self.stages)]
        return replace(self, stages=tuple(stages))

    def has_final_energies(self, stage: int) -> bool:
        """Whether the energies of ``stage`` are known to be the final ones.

        Nothing moves after it, and the last stage computes as it does; or both are the same files.
        """
        here, last = self.stages[stage], self.stages[-1]
        after = self.stages[stage + 1 :]
        return here.computes_as(last) and (here.kind == "file" or all(s.stays for s in after))

    def counts_energies(self, stage: int) -> bool:
        """Whether energies of ``stage`` are needed: those of the last, and those that differences are taken from."""
        last = self.ends_with_energies and stage == len(self.stages) - 1
        return last or self.learns_difference(stage)

    def as_at_start(self, stage: int) -> bool:
        """Whether structures are still what they were at the start after ``stage``."""
        return all(s.kind == GIVEN for s in self.stages[: stage + 1])

    @property
    def counted_from_elements(self) -> list[int]:
        """Stages, from 0, whose total energies become formation energies, which needs energies of the elements."""
        return [k for k, s in enumerate(self.stages) if self.counts_energies(k) and not s.gives_formation]

    @property
    def costs(self) -> list[float]:
        """Of the stages."""
        return [s.cost for s in self.stages]

    @property
    def commands(self) -> list[tuple[str, str]]:
        """All that the plan has run, as (stage, or training; what)."""
        found = [(s.name, s.source[0]) for s in self.stages if s.kind == "command"]
        tables = [(s.name, name, values) for s in self.stages for name, values in s.parts.items()]
        names = part_names(self.training.arch)
        tables += [("training", names[family], values) for family, values in self.part_options.items()]
        for owner, name, values in tables:
            found += [(owner, f"{name} {key} = {value}") for key, value in _run(name, values)]
        return found

    def facts(self) -> dict[str, Any]:
        """What results depend on, as plain values."""
        return {k: v for k, v in asdict(self).items() if k != "call"}


def part_names(arch: str) -> dict[str, str]:
    """The architecture and the head and featurizer that go with it, by family."""
    part: Any = registry().get("architecture", arch)
    return {"architecture": part.name, "head": part.head, "featurizer": part.featurizer}


def _run(name: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those of the options of parts called ``name`` that are run."""
    parts = [o.part for o in registry().offered() if o.part.name == name]
    models = [p.embed_options for p in parts if isinstance(p, Featurizer)] + [p.options for p in parts]
    names = {s.name for m in models for s in specs(m) if s.runs}
    return [(k, v) for k, v in values.items() if k.replace("-", "_") in names and v]


def one_step(request: Request) -> CampaignPlan:
    """The plan of a screening in one step: candidates as they are, and one decision.

    Raises:
        UsageError: options that cannot work.
    """
    o: ScreenOptions = request.options
    _refuse_unheard(o)
    if o.model is not None and not o.candidates:
        raise UsageError("which candidates? name structure files or graph caches")
    arch = o.arch or registry().default("architecture")
    shared = {s.name: getattr(o, s.name) for s in specs(ScreenOptions)}
    plan = CampaignPlan(
        candidates=o.candidates or (CACHE,),
        settings=Settings(**{s.name: shared[s.name] for s in specs(Settings) if s.name in shared}),
        training=TrainingTable(
            **{s.name: shared[s.name] for s in specs(EnsembleTraining)} | {"arch": arch},
            fractions=SplitOptions().fractions,
        ),
        stages=(StagePlan("candidates", 0.0, GIVEN, (), KINDS[GIVEN](), model=str(o.model or "")),),
        references=References(phases=o.references, label=o.reference_label, cif_column=o.cif_column),
        trains_on="labelled" if o.model is None else "nothing",
        target=o.target,
        part_options={FAMILIES.get(option, option): chosen.options for option, chosen in request.parts.items()},
        call=o,
    )
    plan.rule()
    return plan


def _refuse_unheard(o: ScreenOptions) -> None:
    """Refuse what a screening in one step would not listen to.

    Raises:
        UsageError: names the flags.
    """
    if said := _said(o, ("scheduler", "jobs")):
        raise UsageError(f"{said}: for the relaxations of a --campaign only; leave it out")
    if said := _said(o, ("results_of",)):
        raise UsageError(f"{said}: for the stages of a --campaign only; leave it out")
    if o.model is not None and (said := _said(o, (s.name for s in specs(EnsembleTraining)))):
        raise UsageError(f"{said}: for an ensemble that is to be trained, and --model is trained; leave it out")
    if o.model is None and not o.references and (said := _said(o, ("cif_column", "id_column"))):
        raise UsageError(f"{said}: of tables of structures; without --model candidates are a graph cache; leave it out")
    if not o.references and (said := _said(o, ("reference_label",))):
        raise UsageError(f"{said} says what --references call their energy, and there are none")


def _said(o: ScreenOptions, names: Iterable[str]) -> str:
    """The flags of those options ``names`` that are not as by default."""
    silent = ScreenOptions(arch=o.arch if o.arch == registry().default("architecture") else "")
    flags = {s.name: f"--{s.flag}" for s in specs(ScreenOptions)}
    return ", ".join(flags[n] for n in names if getattr(o, n) != getattr(silent, n))


def files_read(plan: CampaignPlan, path: Path | None) -> list[Path]:
    """Every file that the screening reads, the plan at ``path`` among them."""
    from crystalcli.engine.potential.potential_names import model_file

    r = plan.references
    found = [*plan.candidate_files, *r.element_files, *r.phase_files]
    models = [plan.training.start, *(s.start for s in plan.stages), *(s.model for s in plan.stages)]
    found += [f for text in models if text and (f := model_file(text))]
    found += [f for s in plan.stages for f in s.files]
    return list(dict.fromkeys(p for p in ([path] if path else []) + found if p.is_file()))
