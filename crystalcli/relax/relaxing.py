"""A batch of structures, a potential and a relaxer → minima; every structure with a stopping rule of its own."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated, Potential, RelaxerModule
from crystalcli.nouns.systems import Systems
from crystalcli.relax import guards
from crystalcli.relax.cell_coordinates import CellCoordinates, CellMode
from crystalcli.vocabulary.errors import InputError, one_line
from crystalcli.vocabulary.units import GPA

CONVERGED, STEPS, TIME, SINGLE_POINT, POTENTIAL = "converged", "steps", "time", "single-point", "potential"


@dataclass(frozen=True)
class Goal:
    """When a structure is done.

    Args:
        fmax: eV/Å; every force of an atom that may move is below. 0 is never reached.
        smax: GPa; where cells are free, every component of the stress beyond the pressure is below, or its mean where
            the shape stays.
        steps: moves at most; 0 evaluates only.
        seconds: for one structure at most; a batch's time is dealt out by atoms.
        cell: which cells are free.
        pressure: GPa.
    """

    fmax: float = 0.02
    smax: float = 0.05
    steps: int = 500
    seconds: float = float("inf")
    cell: CellMode = "none"
    pressure: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """Geometry and answers of all structures, each at its own last good step; S structures, N atoms, M rows.

    Args:
        rows: (M, 3). energy: (S,) eV. forces: (N, 3) eV/Å. stress: (S, 3, 3) eV/Å³, where known.
        energies: (N,) eV, where known. sigma: (S,) eV, where known.
        fmax: (S,) eV/Å. smax: (S,) GPa, zero where cells are not free.
    """

    rows: Tensor
    energy: Tensor
    forces: Tensor
    stress: Tensor | None
    energies: Tensor | None
    sigma: Tensor | None
    fmax: Tensor
    smax: Tensor


@dataclass(frozen=True)
class Relaxed:
    """What became of a batch.

    Args:
        coords: the map of its rows. start, end: first and last good snapshot; none if nothing could be evaluated.
        systems: the structures at ``end``.
        reasons: why each one stopped. messages: one line where something is to be said. steps: moves of each.
        path: what was kept on the way: step, snapshot of all, and (S,) which of them were under way and sane.
    """

    coords: CellCoordinates
    start: Snapshot | None
    end: Snapshot | None
    systems: Systems
    reasons: list[str]
    messages: list[str]
    steps: list[int]
    path: tuple[tuple[int, Snapshot, Tensor], ...] = ()


Callback = Callable[[int, int], None]
"""Called with (step, structures still going) before every move."""


class RelaxationBatch:
    """One batch on its way down; made for one :meth:`run`.

    Args:
        coords: rows of the structures.
        potential: evaluates; asked only for structures that still go.
        relaxer: moves.
        goal: when each is done.
        keep_every: steps between two snapshots that are kept on the way; 0: none.
    """

    def __init__(
        self, coords: CellCoordinates, potential: Potential, relaxer: RelaxerModule, goal: Goal, keep_every: int = 0
    ) -> None:
        self.keep_every = keep_every
        self.path: list[tuple[int, Snapshot, Tensor]] = []
        self.coords, self.potential, self.relaxer, self.goal = coords, potential, relaxer, goal
        n = coords.start.n_structures
        self.active = torch.ones(n, dtype=torch.bool, device=coords.index.device)
        self.reasons, self.messages, self.steps, self.seconds = [""] * n, [""] * n, [0] * n, [0.0] * n
        self.near = guards.Nearness(coords.start)
        self.start: Snapshot | None = None
        self.end: Snapshot | None = None

    def run(self, pause: Callable[[], None] = lambda: None, heard: Callback = lambda _step, _left: None) -> Relaxed:
        """Relax.

        Args:
            pause: called before every step; raises to give up.
            heard: told of the progress.
        """
        coords, rows = self.coords, self.coords.initial()
        state = self.relaxer.init(rows, coords.index, coords.start.n_structures)
        self._stop(self.near(coords.systems(rows), self.active), 0)
        for step in range(self.goal.steps + 1):
            pause()
            clock = time.monotonic()
            going = self.active.clone()
            found, systems = self._evaluate(rows, step)
            self._judge(rows, systems, found, step)
            if not self.active.any():
                break
            heard(step, int(self.active.sum()))
            forces = self._scattered_forces(rows, systems, found)
            energy = torch.where(self.active, coords.enthalpy(systems, found), 0.0)
            new, state = self.relaxer.step(state, rows, energy, forces, self.active.clone())
            rows = self._moved(rows, new)
            systems = coords.systems(rows)
            self._stop(guards.wild_rows(rows, coords.index, self.active), step + 1)
            self._stop(guards.wild_cells(coords, systems, self.active), step + 1)
            self._stop(self.near(systems, self.active), step + 1)
            self._deal_time(time.monotonic() - clock, going, step)
        final = coords.systems(self.end.rows if self.end is not None else coords.initial())
        end = self._with_stress(final) if coords.mode == "none" else self.end
        return Relaxed(coords, self.start, end, final, self.reasons, self.messages, self.steps, tuple(self.path))

    def _with_stress(self, systems: Systems) -> Snapshot | None:
        """The last snapshot with the stress, which a fixed cell did not need on the way."""
        if self.end is None or "stress" not in self.potential.provides:
            return self.end
        which = (systems.pbc.all(1) & torch.isfinite(self.end.energy)).nonzero().flatten()
        if not len(which):
            return self.end
        try:
            part = self.potential.evaluate(systems.take(which), stress=True)
        except InputError:
            return self.end
        return replace(self.end, stress=_spread(part, which, systems).stress)

    def _evaluate(self, rows: Tensor, step: int) -> tuple[Evaluated, Systems]:
        """Ask the potential for the active structures; those that it refuses stop, the others are asked again."""
        systems = self.coords.systems(rows)
        stress = "stress" in self.potential.provides and self.coords.mode != "none"
        while self.active.any():
            which = self.active.nonzero().flatten()
            try:
                part = self.potential.evaluate(systems.take(which), stress=stress)
                return _spread(part, which, systems), systems
            except InputError as problem:
                self._blame(problem, systems, which, stress, step)
        return _nothing(systems), systems

    def _blame(self, problem: InputError, systems: Systems, which: Tensor, stress: bool, step: int) -> None:
        """Find the structures that cannot be evaluated."""
        bad: guards.Bad = {}
        for k in which.tolist() if len(which) > 1 else []:
            try:
                self.potential.evaluate(systems.take(torch.tensor([k], device=which.device)), stress=stress)
            except InputError as own:
                bad[k] = own.code or POTENTIAL, _plain(own)
        bad = bad or {k: (problem.code or POTENTIAL, _plain(problem)) for k in which.tolist()}
        self._stop(bad, step)

    def _judge(self, rows: Tensor, systems: Systems, found: Evaluated, step: int) -> None:
        """Keep what is good, stop what is bad or done."""
        if not self.active.any():
            return
        index, n = systems.structure_index, systems.n_structures
        pulls = self.coords.felt(rows, found).norm(dim=1)
        fmax = pulls.new_zeros(n).scatter_reduce(0, index, torch.nan_to_num(pulls, nan=torch.inf), "amax")
        smax = torch.zeros_like(fmax)
        if self.coords.mode != "none":
            smax = self.coords.excess_stress(found).abs().amax((1, 2)) / GPA
        now = Snapshot(rows, found.energy, found.forces, found.stress, found.energies, found.sigma, fmax, smax)
        wild = guards.wild_answers(systems, found, self.active)
        first = self.start is None
        good = self.active.clone()
        good[list(wild)] = False
        if self.keep_every and step % self.keep_every == 0:
            self.path.append((step, now, good))
        if first:
            self.start = self.end = now
        else:
            self.end = _merged(now, self.end or now, good, self.coords)
        self._stop(wild, step)
        done = self.active & (fmax < self.goal.fmax) & (smax < self.goal.smax)
        self._stop(dict.fromkeys(done.nonzero().flatten().tolist(), (CONVERGED, "")), step)
        if step == self.goal.steps:
            why = STEPS if step else SINGLE_POINT
            self._stop(dict.fromkeys(self.active.nonzero().flatten().tolist(), (why, "")), step)

    def _scattered_forces(self, rows: Tensor, systems: Systems, found: Evaluated) -> Tensor:
        """Forces on the rows; zero for structures that rest."""
        forces = self.coords.forces(rows, systems, found)
        return torch.where(self.active.index_select(0, self.coords.index).unsqueeze(1), forces, 0.0)

    def _moved(self, rows: Tensor, new: Tensor) -> Tensor:
        """The relaxer's step as far as each row may follow it."""
        stay = self.coords.fixed_rows | ~self.active.index_select(0, self.coords.index)
        atoms = self.coords.atom_rows
        step = (new - rows).index_select(0, atoms)
        partly = (self.coords.allowed * step.unsqueeze(1)).sum(2)
        free = (self.coords.allowed == torch.eye(3, dtype=rows.dtype, device=rows.device)).flatten(1).all(1)
        followed = torch.where(free.unsqueeze(1), new.index_select(0, atoms), rows.index_select(0, atoms) + partly)
        return torch.where(stay.unsqueeze(1), rows, new.index_copy(0, atoms, followed))

    def _stop(self, bad: guards.Bad, step: int) -> None:
        """Let structures rest, each for its reason."""
        for k, (code, message) in bad.items():
            if bool(self.active[k]):
                self.active[k] = False
                self.reasons[k], self.messages[k], self.steps[k] = code, message, step

    def _deal_time(self, seconds: float, going: Tensor, step: int) -> None:
        """Charge every structure its share of a step, and stop those that have used theirs up."""
        if self.goal.seconds == float("inf"):
            return
        counts = torch.where(going, self.coords.start.atom_counts, 0).tolist()
        late: guards.Bad = {}
        for k, count in enumerate(counts):
            self.seconds[k] += seconds * count / sum(counts)
            if self.seconds[k] > self.goal.seconds:
                late[k] = TIME, f"took more than {self.goal.seconds:g} s"
        self._stop(late, step)


def _plain(problem: InputError) -> str:
    """The reason without the structure's place in the batch."""
    return one_line(re.sub(r"^structure \d+: ", "", problem.reason))


def _spread(part: Evaluated, which: Tensor, systems: Systems) -> Evaluated:
    """Answers of some structures in the places of all; NaN elsewhere."""
    if len(which) == systems.n_structures:
        return part
    atoms = torch.isin(systems.structure_index, which).nonzero().flatten()

    def into(values: Tensor | None, rows: Tensor, n: int) -> Tensor | None:
        if values is None:
            return None
        return torch.full((n, *values.shape[1:]), torch.nan, dtype=values.dtype, device=values.device).index_copy(
            0, rows, values
        )

    energy, forces = into(part.energy, which, systems.n_structures), into(part.forces, atoms, systems.n_atoms)
    assert energy is not None
    assert forces is not None
    return Evaluated(
        energy,
        forces,
        into(part.stress, which, systems.n_structures),
        into(part.energies, atoms, systems.n_atoms),
        into(part.sigma, which, systems.n_structures),
    )


def _nothing(systems: Systems) -> Evaluated:
    nan = torch.full_like(systems.positions, torch.nan)
    return Evaluated(nan.new_full((systems.n_structures,), torch.nan), nan)


def _merged(now: Snapshot, before: Snapshot, good: Tensor, coords: CellCoordinates) -> Snapshot:
    """``now`` for the good structures, ``before`` for the others."""
    atoms = good.index_select(0, coords.start.structure_index)
    rows = good.index_select(0, coords.index)
    masks = {"rows": rows, "forces": atoms, "energies": atoms}
    merged: dict[str, Tensor | None] = {}
    for name, new in vars(now).items():
        old, mask = getattr(before, name), masks.get(name, good)
        if new is None or old is None:
            merged[name] = None
            continue
        merged[name] = torch.where(mask.view(-1, *([1] * (new.dim() - 1))), new, old)
    return Snapshot(**merged)  # type: ignore[arg-type]  # none only where the field may be none
