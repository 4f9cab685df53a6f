"""What fixes a campaign, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crystalcli.contracts.options import specs
from crystalcli.mechanisms.phases.staging import Rule
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.pictures import DEFAULT
from crystalcli.vocabulary.thresholds import Threshold
from crystalcli.workflows.screen.campaign_keys import Energies, Settings, Training


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Args:
        name: for tables and files. cost: of one structure, in any unit that all stages share.
        kind: potential, command, outside, file, given (the structures as they are).
        source: potential, command line or files.
        options: of the table of keys that ``kind`` has in :data:`crystalcli.workflows.screen.campaign_keys.KINDS`.
        parts: options of the potential and the relaxer, by their names.
        start: model that this stage's training starts from; empty: the campaign's.
        learn: energy or difference; empty: as the campaign.
    """

    name: str
    cost: float
    kind: str
    source: tuple[str, ...]
    options: Any
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    start: str = ""
    learn: str = ""

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
        output, latest, pictures, device, threads, jobs, scheduler, overwrite: of this call; they do not change results.
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
    pictures: str = DEFAULT
    device: str = "auto"
    threads: int = 0
    jobs: int = 1
    scheduler: str = ""
    overwrite: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def rule(self, kappa: float | None = None) -> Rule:
        """How candidates are decided on; with another κ if given."""
        s = self.settings
        threshold = Threshold.parse(s.threshold) if kappa is None else Threshold(kappa, "sigma")
        return Rule(threshold, s.robust, s.discarded == "stay")

    def learns_difference(self, stage: int) -> bool:
        """Whether the ensemble of ``stage``, from 0, learns what is between its energies and the final ones."""
        return (self.stages[stage].learn or self.training.learn) == "difference"

    def counts_energies(self, stage: int) -> bool:
        """Whether energies of ``stage`` are needed: those of the last, and those that differences are taken from."""
        return stage == len(self.stages) - 1 or self.learns_difference(stage)

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
        tables = [(s.name, s.parts) for s in self.stages] + [("training", self.part_options)]
        for owner, parts in tables:
            for name, values in parts.items():
                found += [(owner, f"{name} {key} = {value}") for key, value in _run(name, values)]
        return found

    def facts(self) -> dict[str, Any]:
        """What results depend on, as plain values."""
        every = asdict(self)
        return {k: v for k, v in every.items() if k not in FREE}


def _run(name: str, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Those of the options of parts called ``name`` that are run."""
    parts = [o.part for o in registry().offered() if o.part.name == name]
    models = [m for p in parts for m in (p.options, getattr(p, "embed_options", None)) if m is not None]
    names = {s.name for m in models for s in specs(m) if s.runs}
    return [(k, v) for k, v in values.items() if k.replace("-", "_") in names and v]


FREE = frozenset({"output", "latest", "pictures", "device", "threads", "jobs", "scheduler", "overwrite", "config"})
