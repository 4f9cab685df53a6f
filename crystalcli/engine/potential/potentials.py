"""Potentials by name: trained models, and ASE's calculators behind the same protocol."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ase
import numpy as np
import torch
from ase.calculators.calculator import all_changes
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated, NeighborPotential, Potential, neighbors_of
from crystalcli.engine.model.model_names import file_of
from crystalcli.engine.potential import answers, potential_names
from crystalcli.engine.potential.moving_graph import SKIN, MovingGraph
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.registry.working_folder import staying
from crystalcli.engine.run.devices import choose_device
from crystalcli.nouns.systems import Systems, refuse_unknown_elements
from crystalcli.vocabulary.errors import InputError, UsageError

if TYPE_CHECKING:
    from crystalcli.contracts.records import Calculator

Precision = Literal["float64", "float32"]
WORDS = ("energy", "forces", "stress", "energies")


def named(
    text: str,
    *,
    device: str = "auto",
    dtype: Precision = "float64",
    options: Mapping[str, Any] | None = None,
    surfaces: bool = False,
) -> Potential:
    """The potential that ``text`` means: a model file, the folder of the run that made it, a calculator's name.

    Args:
        text: what the user typed.
        device: ``auto``, ``cpu``, ``cuda``, …; calculators of ASE work on the CPU.
        dtype: precision in which a model works; energies and forces come out in float64 anyway.
        options: of the calculator, by name.
        surfaces: a model that offers a surface will do; whoever says so calls
            :func:`crystalcli.contracts.dynamics.frozen` before the first step.

    Raises:
        UsageError: no such potential or option, or a surface where a potential is needed.
        InputError: the model cannot be read.
        EnvironmentProblem: no such device.
    """
    record = potential_names.calculator(text)
    if record is not None:
        return of_calculator(record, options or {}, choose_device(device))
    from crystalcli.engine.model import model_file
    from crystalcli.engine.potential.model_potential import ModelPotential, ModelSurface

    model = model_file.load(file_of(Path(text)))[0]
    where, how = choose_device(device), getattr(torch, dtype)
    if model.differentiable or not model.offers_surface:
        return ModelPotential(model, text, device=where, dtype=how)
    if not surfaces:
        raise UsageError(
            "offers a surface, which means something near the structure it was asked for only; crystal relax "
            "--potential minimises it, everything else needs a potential",
            path=text,
        )
    return ModelSurface(model, text, device=where, dtype=how)


def of_calculator(record: Calculator, options: Mapping[str, Any], device: torch.device) -> Potential:
    """The calculator of ``record`` as a potential.

    Raises:
        UsageError: a wrong option, or a plugin that builds no calculator.
    """
    with staying():
        built: Any = record.build(opt.make(record.options, options, owner=f"calculator {record.name}"))
    if hasattr(built, "evaluate") and hasattr(built, "cutoff"):
        return PairedPotential(record, built, device)
    if missing := _missing(built):
        raise UsageError(
            f"calculator '{record.name}' of plugin {registry().origin('calculator', record.name)} gives a "
            f"{type(built).__name__}, which is no ASE calculator: it has no {missing}"
        )
    return CalculatorPotential(record, built)


class PairedPotential:
    """A calculator that takes whole batches, with the list of neighbors that it needs.

    Args:
        record: the calculator.
        built: what it built.
        device: where it works.
    """

    def __init__(self, record: Calculator, built: NeighborPotential, device: torch.device) -> None:
        self.name, self.built, self.device = record.name, built, device
        self.elements, self.made_of = _told(record, built)
        self.provides = built.provides
        self.moving = self._moving()

    def _moving(self) -> MovingGraph:
        reach = self.built.cutoff
        build = partial(neighbors_of, self.built, skin=SKIN)
        return MovingGraph(build, torch.float64, reach, SKIN)

    def __getstate__(self) -> dict[str, Any]:
        """All but the list of neighbors, which is made anew where it is unpickled."""
        return {k: v for k, v in vars(self).items() if k != "moving"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`__getstate__`."""
        vars(self).update(state)
        self.moving = self._moving()

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Evaluate all structures.

        Raises:
            InputError: an element that the calculator does not know, a cell without volume where stress is wanted, a
                structure whose neighbors cannot be found, or an answer that is none.
        """
        refuse_unknown_elements(systems, self.elements, f"{self.name} does not know {{symbols}}")
        if stress and bool((flat := torch.linalg.det(systems.cell).abs() < 1e-9).any()):
            k = int(flat.nonzero()[0])
            raise InputError(
                f"structure {k}: {self.name} gives no stress; its cell has fewer than three vectors", code="calculator"
            )
        graph = self.moving.of(systems)
        who = f"structure 0: {self.name}" if systems.n_structures == 1 else self.name
        with answers.asked(who, answers.MEMORY):
            found: Any = self.built.evaluate(graph, stress=stress)
        return answers.of_batch(found, systems, who, stress=stress)


class CalculatorPotential:
    """An ASE calculator as a potential: one structure after the other, from nothing each time.

    Nothing is kept from one evaluation to the next, so that results depend on the structure alone.

    Args:
        record: the calculator.
        calculator: what it built.
    """

    def __init__(self, record: Calculator, calculator: Any) -> None:
        self.name, self.calculator = record.name, calculator
        self.elements, self.made_of = _told(record, calculator)
        self.provides = frozenset(WORDS) & frozenset(self.calculator.implemented_properties)
        self.device = torch.device("cpu")

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Evaluate all structures.

        Raises:
            InputError: a structure that the calculator cannot evaluate; says which and why.
        """
        wanted = ["energy", "forces", *(["stress"] if stress else [])]
        refuse_unknown_elements(systems, self.elements, f"{self.name} does not know {{symbols}}")
        found = [self._one(atoms, k, wanted) for k, atoms in enumerate(systems.to_atoms())]
        energies = [f["energies"] for f in found] if all("energies" in f for f in found) else None
        return Evaluated(
            energy=_tensor(np.stack([f["energy"] for f in found])),
            forces=_tensor(np.concatenate([f["forces"] for f in found])),
            stress=_tensor(np.stack([f["stress"] for f in found])) if stress else None,
            energies=None if energies is None else _tensor(np.concatenate(energies)),
        )

    def _one(self, atoms: ase.Atoms, k: int, wanted: list[str]) -> dict[str, NDArray[np.float64]]:
        atoms.set_constraint()
        _turn_right_handed(atoms)
        n, who = len(atoms), f"structure {k}: {self.name}"
        if "stress" in wanted and atoms.cell.rank < 3:  # some would divide by a volume of their own
            raise InputError(f"{who} gives no stress; its cell has fewer than three vectors", code=answers.CODE)
        # overlapping atoms are an answer (infinite), not a message
        with answers.asked(who), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = self._results(atoms, wanted)
        missing = [w for w in wanted if results.get(w) is None]
        if missing:
            raise InputError(f"{who} gives no {missing[0]}", code=answers.CODE)
        return answers.of_one(results, n, who, stress="stress" in wanted)

    def _results(self, atoms: ase.Atoms, wanted: list[str]) -> dict[str, Any]:
        calculator = self.calculator
        if hasattr(calculator, "reset"):
            calculator.reset()
        if hasattr(calculator, "calculate"):
            calculator.calculate(atoms, wanted, all_changes)
            return dict(calculator.results)
        return {w: calculator.get_property(w, atoms) for w in wanted}


def _turn_right_handed(atoms: ase.Atoms) -> None:
    """Span the same crystal by right-handed vectors: some packages divide by the volume, and forget its sign."""
    if np.linalg.det(atoms.cell.array) < 0.0:
        order = [1, 0, 2]
        atoms.set_cell(atoms.cell.array[order])
        atoms.pbc = atoms.pbc[order]


def _told(record: Calculator, built: Any) -> tuple[frozenset[int], Mapping[str, Any]]:
    """Which elements it knows (none: it does not say), and what it computes with."""
    known = record.elements or frozenset(getattr(built, "known_elements", ()))
    return known, dict(getattr(built, "made_of", {}))


def _missing(calculator: Any) -> str:
    """What an ASE calculator has and this object has not."""
    if not hasattr(calculator, "implemented_properties"):
        return "implemented_properties"
    return "" if hasattr(calculator, "calculate") or hasattr(calculator, "get_property") else "calculate"


def _tensor(array: NDArray[np.float64]) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(array), dtype=torch.float64)
