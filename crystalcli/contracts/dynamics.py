"""What moves structures: potentials, relaxers, samplers, all on batches. Imports torch: records must not import it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import ase
import torch
from torch import Tensor

from crystalcli.contracts.noise import StructureNoise
from crystalcli.nouns.arrays import GraphArrays, one_way
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.neighbors import build_graph
from crystalcli.nouns.systems import Systems

State = dict[str, Tensor]
"""What a sampler remembers from step to step: named tensors, saved and restored bit by bit."""


@dataclass(frozen=True)
class Evaluated:
    """What a potential says of a batch; all float64.

    Args:
        energy: (S,) eV, totals.
        forces: (N, 3) eV/Å.
        stress: (S, 3, 3) eV/Å³, ASE sign (tensile positive), or none if not asked for.
        energies: (N,) eV, per atom, if the potential has them.
        sigma: (S,) eV, of an ensemble's energies, or none.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor | None = None
    energies: Tensor | None = None
    sigma: Tensor | None = None


class Potential(Protocol):
    """Energies and forces of batches. May keep neighbor lists between calls; results never depend on that.

    Attributes:
        name: what users call it.
        provides: words among ``energy``, ``forces``, ``stress``, ``energies``, ``sigma``.
        device: where the tensors must lie.

    It may have an attribute ``made_of``, plain values that say what it computes with (:func:`made_of`).

    It may have an attribute ``fields: tuple[str, ...]``, per-site fields that it reads from ``Systems.fields``; whoever
    makes the batch gives them (:func:`fields_of`).

    It may have a method ``frozen(systems) -> Potential``: then it is a surface, which is asked once, for the structures
    as they are before the first step, and evaluated as it was there (:func:`frozen`).
    """

    name: str
    provides: frozenset[str]
    device: torch.device

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        """Evaluate all structures; forces of fixed atoms included.

        Raises:
            InputError: a structure that the potential cannot evaluate (an unknown element); says which and why.
        """
        ...


class NeighborPotential(Protocol):
    """Energies and forces from the neighbors within a cutoff, of many structures at once.

    The core finds the neighbors, keeps their list while structures move, and refuses elements that the calculator's
    record does not name. All tensors are float64, and sums go over edges in the order given, so that a structure has
    the same answer in every batch.

    Attributes:
        cutoff: Å; edges are shorter.
        provides: words among ``energy``, ``forces``, ``stress``, ``energies``.
        once: whether it is given every pair in one direction only (:func:`crystalcli.nouns.arrays.one_way`); else each
            edge is there in both.
    """

    cutoff: float
    provides: frozenset[str]
    once: bool

    def evaluate(self, graph: CrystalGraph, *, stress: bool) -> Evaluated:
        """Evaluate all structures of ``graph``; forces of fixed atoms too."""
        ...


def neighbors_of(potential: NeighborPotential, atoms: ase.Atoms, skin: float = 0.0) -> GraphArrays:
    """The edges that ``potential`` sums over, and those that are longer by ``skin`` Å at most."""
    graph = build_graph(atoms, cutoff=potential.cutoff + skin)
    return one_way(graph) if potential.once else graph


def fields_of(potential: Potential) -> tuple[str, ...]:
    """Names of the per-site fields that ``potential`` reads."""
    return tuple(getattr(potential, "fields", ()))


def made_of(potential: Potential) -> dict[str, Any]:
    """What run.json says of ``potential`` beside its name and options: what a calculator computes with, if it tells."""
    told: Mapping[str, Any] = getattr(potential, "made_of", {})
    return {"potential": {"name": potential.name, **told}} if told else {}


def frozen(potential: Potential, systems: Systems) -> Potential:
    """``potential`` for structures that begin as ``systems``: itself, unless it is a surface."""
    freeze: Callable[[Systems], Potential] | None = getattr(potential, "frozen", None)
    return potential if freeze is None else freeze(systems)


class RelaxerModule(Protocol):
    """Minimises many structures at once, over coordinates that the core has laid out.

    A structure owns rows of ``x``: its atoms, then, if the cell is free, three rows of a generalised cell. The core
    takes care of cells, fixed atoms, stopping and guards; a relaxer sees rows and forces only.
    """

    def init(self, x: Tensor, index: Tensor, n_structures: int) -> Any:
        """Return the state before the first step.

        Args:
            x: (M, 3) float64, Å.
            index: (M,) int64, structure of each row; ascending.
            n_structures: S.
        """
        ...

    def step(self, state: Any, x: Tensor, energy: Tensor, forces: Tensor, active: Tensor) -> tuple[Tensor, Any]:
        """Take one step.

        Args:
            state: as returned by :meth:`init` or by the step before.
            x: (M, 3), where energy and forces were evaluated.
            energy: (S,) eV (enthalpy where a pressure acts).
            forces: (M, 3) eV/Å, −∂E/∂x; zero for rows that are fixed.
            active: (S,) bool; rows of other structures must come back unchanged.

        Returns:
            New x and state.
        """
        ...


Force = Callable[[Systems], Evaluated]
"""Evaluates what the sampler has moved; stress included if the sampler asks for it."""


class SamplerModule(Protocol):
    """Moves many structures in time. Everything it remembers is in its state, so that a restart is exact.

    One that draws no noise may say ``noisy = False``; its generator is then not seeded anew at every step.
    One that does draws it from ``generator`` by its own methods, for every structure alone: what is drawn for the batch
    (``torch.randn(…, generator=generator)``) makes a trajectory depend on the company of its structure.

    Attributes:
        needs_stress: whether :data:`Force` must give the stress.
    """

    needs_stress: bool

    def init(self, systems: Systems, temperature: Tensor, generator: StructureNoise) -> State:
        """Return the state before the first step; ``temperature`` (S,) K is the target at that time."""
        ...

    def step(
        self,
        systems: Systems,
        evaluated: Evaluated,
        state: State,
        force: Force,
        *,
        dt: float,
        temperature: Tensor,
        generator: StructureNoise,
    ) -> tuple[Systems, Evaluated, State]:
        """Advance by ``dt`` fs.

        Args:
            systems: positions and velocities at time t.
            evaluated: energy and forces there.
            state: of the step before; not changed in place.
            force: evaluates new positions; call it once a step.
            dt: fs.
            temperature: (S,) K, target at t + dt.
            generator: for noise; seeded by run seed, step number and ids, so nothing of it needs saving.

        Returns:
            The same at t + dt. Fixed atoms keep position and zero velocity.
        """
        ...

    def conserved(self, systems: Systems, evaluated: Evaluated, state: Mapping[str, Tensor]) -> Tensor:
        """(S,) eV: what exact dynamics would keep constant (E_pot + E_kin + thermostat …)."""
        ...
