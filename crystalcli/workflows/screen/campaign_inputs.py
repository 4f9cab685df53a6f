"""What a campaign starts from: candidates, structures of elements, known phases; what is missing is said at once."""

from __future__ import annotations

from dataclasses import dataclass

from crystalcli.mechanisms.phases.hull import Phase
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import NothingUsable, UsageError
from crystalcli.workflows.graphs import supervised_reading
from crystalcli.workflows.screen.campaign_files import read_items
from crystalcli.workflows.screen.campaign_plan import CampaignPlan
from crystalcli.workflows.screen.campaign_results import ELEMENT, Item


@dataclass(frozen=True)
class Inputs:
    """What a campaign starts from.

    Args:
        candidates, elements: structures. phases: of known formation energy.
        failures: candidates that cannot be read.
    """

    candidates: list[Item]
    elements: list[Item]
    phases: list[Phase]
    failures: list[Failure]


def read_inputs(plan: CampaignPlan) -> Inputs:
    """Read candidates, elements and known phases.

    Raises:
        NothingUsable: no candidate can be read. UsageError: an element without energy, or a structure of elements that
            is a compound.
    """
    s, references = plan.settings, plan.references
    candidates, failures = read_items(expand(plan.candidates), ReadOptions(s.cif_column, s.id_column, labels="unused"))
    if not candidates:
        raise NothingUsable(f"no candidate could be read: {failures[0] if failures else 'there are none'}")
    if s.train >= len(candidates):
        raise UsageError(f"{len(candidates)} candidates, {s.train} of them to train on: nothing is left to screen")
    elements: list[Item] = []
    if references.elements:
        elements, broken = read_items(expand(references.elements))
        if broken:
            raise UsageError(f"an element cannot be read: {broken[0]}")
    for item in elements:
        if len(item.amounts) != 1:
            raise UsageError(f"'{item.id}' among the elements is a compound, {item.atoms.get_chemical_formula()}")
    elements = [Item(ELEMENT + i.id, i.atoms) for i in elements]
    if plan.counted_from_elements:
        known = {*references.energies, *(e for i in elements for e in i.amounts)}
        missing = sorted({e for i in candidates for e in i.amounts} - known)
        if missing:
            raise UsageError(f"[references] says nothing of {', '.join(missing)}; formation energies need it")
    return Inputs(candidates, elements, _known_phases(plan), failures)


def _known_phases(plan: CampaignPlan) -> list[Phase]:
    label, found = plan.references.label, []
    if not plan.references.phases:
        return []
    for item in supervised_reading.read_inputs(expand(plan.references.phases)):
        if isinstance(item, Failure):
            raise UsageError(f"a reference phase cannot be read: {item}")
        if label not in item.labels:
            raise UsageError(f"has no label '{label}'; it has {', '.join(item.labels) or 'none'}", path=item.source)
        found.append(Phase(Item(item.id, item.atoms).amounts, float(item.labels[label]), item.id))
    return found
