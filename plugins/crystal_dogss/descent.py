"""Descent with momentum to the minimum of springs, every structure for itself, and three ways to learn through it.

``V ← βV + (1 − β) g``, ``x ← x − ηV`` with g = ∇Ê of free atoms (eq. 7 of the paper with its sign mended, and momentum
as in the authors' code). On a quadratic this is stable for ``η λ < 2(1 + β)/(1 − β)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crystal_dogss.options import DescentOptions
from crystal_dogss.springs import Springs

FARTHEST = 5.0
"""Å that an atom may move in one step; a structure in which one would go farther is lost: it stays where it began."""
DAMPING = 1e-6
"""Of the second derivatives, in units of their mean: springs under compression may make them indefinite."""
SOLVED = 1e-8
"""Residual, relative to the right-hand side, at which the linear equations of a structure count as solved."""


@dataclass(frozen=True)
class Descended:
    """Where a batch came to rest.

    Args:
        positions: (N, 3) Å. steps: (S,) taken by each structure. converged: (S,) bool.
        path: positions after a quarter and half of the steps, where they are kept.
    """

    positions: Tensor
    steps: Tensor
    converged: Tensor
    path: tuple[Tensor, ...] = ()


class _Way:
    """One descent under way."""

    def __init__(self, springs: Springs, free: Tensor, options: DescentOptions) -> None:
        self.springs, self.free, self.options = springs, free, options
        longest = 2.0 * (1.0 + options.momentum) / (1.0 - options.momentum) / springs.stiffest().clamp_min(1e-12)
        step = 0.5 * longest if options.step == 0.0 else longest.mul(0.9).clamp_max(options.step)
        self.step = step.index_select(0, springs.structure)[:, None]  # no structure's step hangs on another's
        s = springs.n_structures
        self.active = torch.ones(s, dtype=torch.bool, device=free.device)
        self.converged, self.taken = ~self.active, torch.zeros(s, dtype=torch.int64, device=free.device)
        self.lost = ~self.active

    def move(self, x: Tensor, velocity: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """One step of all structures that still go."""
        o = self.options
        gradient = self.springs.gradient(x) * self.free
        with torch.no_grad():
            far = (self.step * gradient).norm(dim=1)  # of the vector: how the axes lie must not matter
            zero = far.new_zeros(self.springs.n_structures)
            farthest = zero.scatter_reduce(0, self.springs.structure, far, "amax")
            lost = ~(farthest <= FARTHEST)  # not a number, too
            done = (farthest <= o.tolerance) & (number >= o.min_steps)
            self.converged |= done & self.active
            self.lost |= lost & self.active
            self.active &= ~(done | lost)
            self.taken += self.active
            go = self.active.index_select(0, self.springs.structure)[:, None]
        velocity = o.momentum * velocity + (1.0 - o.momentum) * gradient
        return torch.where(go, x - self.step * velocity, x), velocity


def descend(springs: Springs, start: Tensor, free: Tensor, options: DescentOptions, *, path: bool = False) -> Descended:
    """Let the atoms of a batch go to the minimum of their springs.

    Args:
        springs: of the batch; what is learned reaches them through the result, in the way that the options say.
        start: (N, 3) float64, Å.
        free: (N, 1) float64, 1 where an atom may move, else 0.
        options: of the descent.
        path: keep where atoms are after a quarter and half of the steps at most.
    """
    way = _Way(springs, free, options)
    learns = torch.is_grad_enabled() and (springs.rest.requires_grad or springs.stiffness.requires_grad)
    through = {"unrolled": options.max_steps, "truncated": options.last}.get(options.gradient, 0)
    x, velocity, kept = start, torch.zeros_like(start), []
    marks = {options.max_steps // 4, options.max_steps // 2} if path else set()
    cut = learns and options.gradient == "truncated"
    first = _first_to_learn(way, start, through) if cut else torch.zeros_like(way.taken)
    earliest, of_atoms = int(first.min()), first.index_select(0, springs.structure)[:, None]
    frozen = springs.detached()
    for number in range(options.max_steps):
        if number in marks:
            kept.append(x)
        back = learns and through > 0 and number >= earliest
        way.springs = springs if back else frozen
        with torch.set_grad_enabled(back):
            x, velocity = way.move(x, velocity, number)
            if cut and back:  # a structure's last steps are counted from its own end, whatever shares its batch
                x, velocity = (torch.where(number < of_atoms, t.detach(), t) for t in (x, velocity))
        if not way.active.any():
            break
    x = torch.where(way.lost.index_select(0, springs.structure)[:, None], start, x)
    kept += [x] * (len(marks) - len(kept))
    if learns and options.gradient in ("auto", "implicit"):
        x = at_minimum(springs, x.detach(), free)
    return Descended(x, way.taken, way.converged, tuple(kept))


def _first_to_learn(way: _Way, start: Tensor, last: int) -> Tensor:
    """The step of every structure, (S,), from which on its last ones are remembered; found by going once before."""
    other = _Way(way.springs.detached(), way.free, way.options)
    x, velocity = start, torch.zeros_like(start)
    with torch.no_grad():
        for number in range(way.options.max_steps):
            x, velocity = other.move(x, velocity, number)
            if not other.active.any():
                break
    return (other.taken - last).clamp_min(0)


def at_minimum(springs: Springs, x: Tensor, free: Tensor) -> Tensor:
    """``x``, with the derivatives that a minimum of Ê has: ``dL/dθ = −wᵀ ∂²Ê/∂x∂θ``, ``H w = ∂L/∂x`` on free atoms.

    Exact where the minimum is a point; along directions that cost nothing, where atoms rest depends on the way there.
    """
    apply: Any = _AtMinimum.apply
    found: Tensor = apply(springs.gradient(x) * free, x, springs.detached(), free)
    return found


class _AtMinimum(torch.autograd.Function):
    """x as a function of the gradient there: ``dx = −H⁻¹ dg``."""

    @staticmethod
    def forward(ctx: Any, _gradient: Tensor, x: Tensor, springs: Springs, free: Tensor) -> Tensor:
        """Hand x on."""
        ctx.springs, ctx.free = springs, free
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, None, None, None]:
        """``−H⁻¹ ∂L/∂x``."""
        (x,) = ctx.saved_tensors
        return -solved(ctx.springs, x, ctx.free, wanted * ctx.free), None, None, None


def solved(springs: Springs, x: Tensor, free: Tensor, right: Tensor, most: int = 200) -> Tensor:
    """w, (N, 3), of ``(H + ε) w = right`` on free atoms, by conjugate gradients, every structure for itself.

    ε is ``DAMPING`` times the mean of H's diagonal, estimated by that of the springs. A structure stops when it is
    solved, or where a direction has no positive curvature; it keeps what it has then.
    """
    s = springs.structure

    def dot(a: Tensor, b: Tensor) -> Tensor:
        return a.new_zeros(springs.n_structures).index_add(0, s, (a * b).sum(1))

    def each(values: Tensor) -> Tensor:
        return values.index_select(0, s)[:, None]

    atoms = right.new_zeros(springs.n_structures).index_add(0, s, free[:, 0]).clamp_min(1.0)
    stiff = springs.stiffness.new_zeros(springs.n_structures)
    stiff = stiff.index_add(0, s.index_select(0, springs.centre), springs.stiffness.abs())
    damping = each(DAMPING * 4.0 * stiff / (3.0 * atoms))
    w, residual = torch.zeros_like(right), right.clone()
    direction, size = residual.clone(), dot(residual, residual)
    goal = SOLVED**2 * size
    for _ in range(most):
        going = size > goal
        if not going.any():
            break
        image = (springs.second(x, direction) + damping * direction) * free
        curved = dot(direction, image)
        going &= curved > 0
        rate = torch.where(going, size / torch.where(going, curved, torch.ones_like(curved)), torch.zeros_like(size))
        w = w + each(rate) * direction
        residual = residual - each(rate) * image
        new = dot(residual, residual)
        ratio = torch.where(going, new / size.clamp_min(1e-300), torch.zeros_like(size))
        direction = residual + each(ratio) * direction
        size = torch.where(going, new, torch.zeros_like(size))
    return w
