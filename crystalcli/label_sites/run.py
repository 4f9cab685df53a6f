"""Structures → the same structures with computed labels of their sites, as extended XYZ."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.dynamics import Potential
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Running, Work
from crystalcli.engine.labels.site_labels import LABELS, Wish
from crystalcli.engine.potential.potentials import named
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files, locks
from crystalcli.label_sites.options import ENDINGS, LabelSitesOptions
from crystalcli.nouns.structures.constraints import along_axes
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.vocabulary.errors import (
    CrystalError,
    Exit,
    InputError,
    NothingUsable,
    UsageError,
    did_you_mean,
    one_line,
    what_happened,
)
from crystalcli.vocabulary.texts import xyz_word

SILENT = LabelSitesOptions()
"""What counts where nobody says anything."""


@dataclass(frozen=True)
class LabellingPlan:
    """What to do: the options of the command as the objects that they mean.

    Args:
        inputs: as typed. output: the .extxyz to write.
        labels: names among :data:`crystalcli.engine.labels.site_labels.LABELS`.
        potential: for frequencies. charges: site label with the charges of the Ewald sum; empty guesses them.
        elements: symbols of the elements that get labels; empty: all. The others' labels are missing.
        overwrite: replace the output.
        potential_options: of a calculator by name.
        reading: choices for tables.
    """

    inputs: tuple[str, ...]
    output: Path
    labels: tuple[str, ...]
    potential: str = SILENT.potential
    charges: str = SILENT.charges
    elements: tuple[str, ...] = SILENT.symbols
    overwrite: bool = False
    potential_options: Mapping[str, Any] = field(default_factory=dict)
    reading: ReadOptions = DEFAULTS

    @classmethod
    def of(cls, request: Request) -> Self:
        """What is asked."""
        asked: LabelSitesOptions = request.options
        chosen = request.parts.get("potential")
        return cls(
            asked.inputs,
            asked.output,
            asked.labels,
            potential=asked.potential,
            charges=asked.charges,
            elements=asked.symbols,
            overwrite=request.overwrite,
            potential_options=chosen.options if chosen else {},
            reading=ReadOptions(asked.cif_column, asked.id_column),
        )


@dataclass
class LabellingReport:
    """What came out: structures written, failures, and by label the number of sites that have it, of all."""

    n: int = 0
    failures: list[Failure] = field(default_factory=list)
    labelled: dict[str, int] = field(default_factory=dict)
    sites: int = 0


class Labelling(Work):
    """Labels of sites as the work of a workflow.

    Raises:
        UsageError: as :func:`check`.
    """

    def __init__(self, request: Request) -> None:
        self.plan = LabellingPlan.of(request)
        check(self.plan)

    def describe(self) -> Mapping[str, Any]:
        """The resolved plan."""
        plan = self.plan
        return {
            "output": str(plan.output),
            "files": len(expand(plan.inputs)),
            "labels": list(plan.labels),
            "potential": plan.potential,
            "potential_options": dict(plan.potential_options),
            "charges": plan.charges,
            "elements": list(plan.elements),
        }

    def do(self, run: Running) -> Mapping[str, Any]:
        """Label all structures."""
        report = label(self.plan, run.reporter.warn)
        for name in [name for name, n in report.labelled.items() if not n]:
            but = ", or is of other elements than those asked for" if self.plan.elements else ""
            run.reporter.warn(f"no site has the label {name}: none has what it is defined by{but}")
        return {
            "output": str(self.plan.output),
            "n": report.n,
            "sites": report.sites,
            "labelled": report.labelled,
            "targets": units(self.plan.labels),
            "failed": [f.to_json() for f in report.failures],
            "exit_code": int(Exit.SOME_FAILED if report.failures else Exit.OK),
        }


def check(plan: LabellingPlan) -> None:
    """Refuse what cannot work, before anything is read.

    Raises:
        UsageError: an unknown label, none, frequencies without a potential, a potential or charges that no label
            needs, what is no element, or an output whose ending says another format.
    """
    if not plan.labels:
        raise UsageError(f"name labels with --label: {', '.join(LABELS)}")
    for name in plan.labels:
        if name not in LABELS:
            raise UsageError(f"no label '{name}'; {did_you_mean(name, list(LABELS))}")
    if "frequency" in plan.labels and not plan.potential:
        known = ", ".join(registry().names("calculator"))
        raise UsageError(f"frequencies need a potential: --potential NAME ({known}), a model file or a run folder")
    for flag, given, needs in (
        ("potential", plan.potential, "frequency"),
        ("charges", plan.charges, "ewald_potential"),
    ):
        if given and needs not in plan.labels:
            raise UsageError(f"--{flag} is for --label {needs}, which is not asked for; add it, or leave --{flag} out")
    if unknown := [e for e in plan.elements if e not in chemical_symbols[1:]]:
        raise UsageError(f"--elements: '{unknown[0]}' is no element; write Si,O")
    if plan.output.suffix.lower() not in ENDINGS:
        said = f"extended XYZ is written, and the ending '{plan.output.suffix}' is not its own"
        raise UsageError(f"{said}; end the name with {' or '.join(ENDINGS)}", path=plan.output)
    files.refuse_to_overwrite(plan.output, plan.overwrite)


def label(plan: LabellingPlan, warn: Callable[[str], None] = lambda _line: None) -> LabellingReport:
    """Label all structures; one that cannot be read or labelled is a failure, the others go on.

    Raises:
        UsageError: as :func:`check`. NothingUsable: no structure could be labelled; nothing is written.
        EnvironmentProblem: another program writes the output.
    """
    check(plan)
    asked = "frequency" in plan.labels
    potential = named(plan.potential, options=plan.potential_options) if asked else None
    report = LabellingReport(labelled=dict.fromkeys(plan.labels, 0))
    with locks.locked(plan.output), files.writing(plan.output) as file:
        for item in _labelled(plan, potential):
            if isinstance(item, Failure):
                report.failures.append(item)
                warn(str(item))
                continue
            entry, values, text = item
            file.write(text.encode())
            report.n += 1
            report.sites += len(entry.atoms)
            for name, value in values.items():
                report.labelled[name] += int(np.isfinite(value).sum())
        if report.n == 0:
            raise NothingUsable(f"none of {len(report.failures)} structures could be labelled")
    return report


LabelledSites = tuple[Entry, dict[str, NDArray[np.float64]], str]
"""A structure, its new labels, and both as text."""


def _labelled(plan: LabellingPlan, potential: Potential | None) -> Iterator[LabelledSites | Failure]:
    for item in read_inputs(expand(plan.inputs), plan.reading):
        if isinstance(item, Failure):
            yield item
            continue
        try:
            yield _with_labels(item, plan, potential)
        except CrystalError as problem:
            yield Failure(item.source, item.id, "label", problem.code or "label", one_line(problem.reason))


def _with_labels(entry: Entry, plan: LabellingPlan, potential: Potential | None) -> LabelledSites:
    """Label a structure.

    Raises:
        CrystalError: it cannot be; whatever a label's method, or the potential that it asks, raises is one.
    """
    wish = Wish(_charges(entry, plan.charges), potential)
    values = {name: _asked_for(name, entry, wish) for name in plan.labels}
    if plan.elements:
        chosen = np.isin(entry.atoms.symbols, plan.elements)
        values = {name: np.where(chosen, value, np.nan) for name, value in values.items()}
    entry = replace(entry, atoms=along_axes(entry.atoms))
    return entry, values, _text(entry, values)


def _asked_for(name: str, entry: Entry, wish: Wish) -> NDArray[np.float64]:
    try:
        return LABELS[name][1](entry.atoms, wish)
    except CrystalError:
        raise
    except (Exception, SystemExit) as problem:  # of a label's method anything may come, and it costs its structure
        raise InputError(f"{name}: {what_happened(problem)}", code="label-error") from problem


def _charges(entry: Entry, key: str) -> NDArray[np.float64] | None:
    if not key:
        return None
    if np.shape(entry.labels.get(key, 0.0)) != (len(entry.atoms),):
        raise UsageError(f"has no charges '{key}' of its sites", path=entry.source)
    return np.asarray(entry.labels[key], dtype=np.float64)


def _text(entry: Entry, values: dict[str, NDArray[np.float64]]) -> str:
    """One frame with all that it had, labels among it, and the new ones."""
    import ase.io

    atoms = entry.atoms.copy()
    atoms.info = {"id": xyz_word(entry.id), **{k: xyz_word(v) for k, v in entry.tags.items() if k != "id"}}
    for key, label in entry.labels.items():
        array = np.asarray(label)
        known = entry.quantities.get(key)
        if array.ndim == 0:
            atoms.info[key] = float(array)
        elif known is not None and known.level == "structure":
            atoms.info[key] = array
        elif len(array) == len(atoms) and key not in atoms.arrays:
            atoms.set_array(key, array)
    for name, value in values.items():
        atoms.arrays.pop(name, None)
        atoms.set_array(name, value)
    text = io.StringIO()
    ase.io.write(text, atoms, format="extxyz")
    return text.getvalue()


def units(labels: Sequence[str]) -> str:
    """What ``build-graphs --targets`` is told of ``labels``."""
    return ",".join(name + (f":{LABELS[name][0].unit}" if LABELS[name][0].unit else "") for name in labels)
