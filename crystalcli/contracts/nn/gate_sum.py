"""The inner loop of gated convolutions on the CPU: sums of gated messages, block by block, with both derivatives.

``m_i = Σ_e f_e σ(p_e) softplus(−r_e)`` with ``p_e = ap_i + bp_j + cp_u`` and ``r_e = ar_i + br_j + cr_u``; r is the
negated core, r = −q. ``softplus(q) = −log σ(−q)``, so with ``s = σ(p)``, ``t = σ(r)`` and ``L = log t`` a message is
``−f s L``, and one sigmoid serves value and derivatives. With ``h = −dm_i`` the gradients are

    ``dp = f h s(1−s) L``,  ``dr = f h s (1−t)``,  ``df = Σ_F h s L``,

and, for cotangents y, x, φ of these three, with ``α = y(1−s)``, ``τ = 1−t``, ``n = αL + xτ`` and ``k = f n + φL``, the
sum to be differentiated once more is ``Σ h s k``, so that its derivatives are

    ``s k`` (h),  ``h s(1−s)(k − f y s L)`` (p),  ``h s τ (f(α − x t) + φ)`` (r),  ``Σ_F h s n`` (f).

Exact to rounding. Gather and add of ``a_i + b_j + c_u`` is one sweep of ``embedding_bag``, and so is every scatter of
the backward passes: fast, and the same bits in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalcli.contracts.nn.edge_blocks import Block, bag_sum, each_block
from crystalcli.contracts.nn.edge_plan import EdgePlan

R_MIN = -87.0
"""σ(−87) is about the smallest normal float32; below, its logarithm would become infinite."""

STRETCH = 4096
"""Gates whose second derivatives are worked out together: planes that fit the cache, no less than a usual block."""

_spare: list[Tensor] = []
"""Memory of gates given back by a backward pass. The first touch of fresh memory takes as long as the gates."""
MAX_SPARE = 6


def gate_sum(ab: Tensor, distances: Tensor, plan: EdgePlan, envelope: Tensor | None = None) -> Tensor:
    """Messages summed for every atom, (N, F); can be differentiated twice.

    Args:
        ab: (R, 4F) rows [ap, bp, ar, br]: what an atom adds as centre and as neighbor to filter and negated core.
        distances: of a plan with a basis its weights, (K, 2F), whose product with the basis is made block by block;
            else the rows [cp, cr] of all gates, (G, 2F).
        plan: of the edges.
        envelope: f, (E,); none is 1. Only where every edge has a gate of its own.
    """
    found: Tensor = GateSum.apply(ab, distances, envelope, plan)  # type: ignore[no-untyped-call]
    return found


class GateSum(torch.autograd.Function):
    """See :func:`gate_sum`. Keeps 8 bytes per gate and feature in float32.

    Without an envelope, as no training on forces is, that memory is used again after the backward pass, which then can
    run only once.
    """

    @staticmethod
    def forward(ctx: Any, ab: Tensor, distances: Tensor, envelope: Tensor | None, plan: EdgePlan) -> Tensor:
        """The sums."""
        f = distances.shape[1] // 2
        out = ab.new_empty(plan.n_atoms, f)
        longest = max(len(b.rows_start) for b in plan.blocks) * f
        kept = _take(2 * plan.n_gates * f, ab) if any(ctx.needs_input_grad) else None

        def work(queue: Iterator[Block]) -> None:
            scratch = ab.new_empty(longest) if kept is None else kept
            for b in queue:
                g = b.n_gates
                gates = _part(scratch, 0 if kept is None else b.first_gate, g, f)
                raw = _gathered(plan, b, ab, distances)
                raw[g:].clamp_(min=R_MIN)
                torch.sigmoid(raw, out=gates)
                messages = _log(gates[g:], out=raw[g:]).mul_(gates[:g])
                weights = None if envelope is None else envelope[b.gates]
                out[b.atoms] = bag_sum(messages, b.gate, b.gate_start, weights)

        each_block(plan.blocks, work)
        ctx.save_for_backward(ab, distances, envelope)
        ctx.plan, ctx.kept, ctx.again = plan, kept, envelope is not None
        return out.neg_()

    @staticmethod
    def backward(ctx: Any, dm: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all but the plan; they can be differentiated once more."""
        kept: Tensor | None = ctx.kept
        if kept is None:
            raise RuntimeError("the saved gates were released: backward runs once per forward")
        ab, distances, envelope = ctx.saved_tensors
        if torch.is_grad_enabled():
            ctx.again = True
            found = GateGradient.apply(dm, ab, distances, envelope, ctx.plan, kept)  # type: ignore[no-untyped-call]
            return (*found, None)
        gradients = _gradient(ctx.plan, kept, dm, distances, envelope, ab)
        if not ctx.again:
            ctx.kept = None
            _give_back(kept)
        return (*gradients, None)


class GateGradient(torch.autograd.Function):
    """The gradient of :class:`GateSum` for the gradient ``dm`` of its result, with a gradient of its own."""

    @staticmethod
    def forward(
        ctx: Any, dm: Tensor, ab: Tensor, distances: Tensor, envelope: Tensor | None, plan: EdgePlan, kept: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Gradients of ab, distances, envelope."""
        ctx.save_for_backward(dm, ab, distances, envelope)
        ctx.plan, ctx.kept = plan, kept
        ctx.set_materialize_grads(False)
        return _gradient(plan, kept, dm, distances, envelope, ab)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, t_ab: Tensor | None, t_distances: Tensor | None, t_envelope: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Gradients of dm, ab, distances, envelope for cotangents of the three gradients."""
        dm, ab, distances, envelope = ctx.saved_tensors
        plan: EdgePlan = ctx.plan
        f = dm.shape[1]
        t_ab = torch.zeros_like(ab) if t_ab is None else t_ab
        t_distances = torch.zeros_like(distances) if t_distances is None else t_distances
        phi = torch.zeros_like(envelope) if t_envelope is None and envelope is not None else t_envelope
        found = _Gradients(plan, ab, distances, envelope)
        d_dm, negative = torch.empty_like(dm), -dm

        def work(queue: Iterator[tuple[int, Block]]) -> None:
            for number, b in queue:
                g = b.n_gates
                gates = _part(ctx.kept, b.first_gate, g, f).view(2, g, f)
                both = _gathered(plan, b, t_ab, t_distances).view(2, g, f)  # y and x, then the derivatives by p and r
                of_h = _of_gates(b, negative)  # h, then the derivative by it
                for part in _stretches(b):
                    st, yx = gates[:, part], both[:, part]
                    log = _log(st[1], out=torch.empty_like(st[1]))
                    hs = of_h[part].mul_(st[0])
                    gated = yx * st
                    alpha, n = yx.sub_(gated)  # n is xτ so far
                    dp, dr = gated
                    dp.mul_(log)
                    torch.sub(alpha, dr, out=dr)
                    n.addcmul_(alpha, log)
                    if envelope is not None and phi is not None and found.envelope is not None:
                        own = slice(b.first_gate + part.start, b.first_gate + part.stop)
                        f_e, phi_e = envelope[own].unsqueeze(1), phi[own].unsqueeze(1)
                        torch.sum(torch.mul(hs, n, out=alpha), 1, out=found.envelope[own])
                        dp.mul_(f_e)
                        dr.mul_(f_e).add_(phi_e)
                        n.mul_(f_e).addcmul_(log, phi_e)
                    torch.sub(n, dp, out=dp)  # n is k now
                    gated.mul_(hs)
                    torch.mul(n, st[0], out=hs)
                    torch.addcmul(gated, gated, st, value=-1, out=yx)
                d_dm[b.atoms] = bag_sum(of_h, b.gate, b.gate_start)
                found.take(number, b, both.view(2 * g, f))

        each_block(list(enumerate(plan.blocks)), work)
        return d_dm.neg_(), *found.result(), None, None


class _Gradients:
    """Gradients of the addends of all gates, on their way to what the addends were made of."""

    def __init__(self, plan: EdgePlan, ab: Tensor, distances: Tensor, envelope: Tensor | None) -> None:
        self.plan, self.ab = plan, torch.empty_like(ab)
        shape = distances.shape if plan.basis is None else (len(plan.blocks), *distances.shape)
        self.distances = distances.new_empty(shape)
        self.envelope = None if envelope is None else torch.empty_like(envelope)

    def take(self, number: int, b: Block, both: Tensor) -> None:
        """Add up those of filters and cores of a block, (2g, F)."""
        f = both.shape[1]
        rows = bag_sum(both, b.backward.back, b.backward.back_start)
        atoms = b.atom_rows.stop - b.atom_rows.start
        self.ab.view(-1, f)[b.atom_rows] = rows[:atoms]
        if self.plan.basis is None:
            _planes(self.distances[b.gates]).copy_(both.view(2, b.n_gates, f))
        else:
            of_distances = rows[atoms:].view(-1, 2 * f)
            torch.mm(self.plan.basis[b.distances].t(), of_distances, out=self.distances[number])

    def result(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Of ab, distances, envelope."""
        return self.ab, self.distances if self.plan.basis is None else self.distances.sum(0), self.envelope


def _gradient(
    plan: EdgePlan, kept: Tensor, dm: Tensor, distances: Tensor, envelope: Tensor | None, ab: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of ab, distances, envelope."""
    f = dm.shape[1]
    found = _Gradients(plan, ab, distances, envelope)
    longest, negative = max(len(b.rows_start) for b in plan.blocks) * f, -dm

    def work(queue: Iterator[tuple[int, Block]]) -> None:
        scratch = dm.new_empty(longest)
        for number, b in queue:
            gates, both = _part(kept, b.first_gate, b.n_gates, f), _part(scratch, 0, b.n_gates, f)
            s, t = gates.chunk(2)
            dp, dr = both.chunk(2)
            _of_gates(b, negative, out=dr).mul_(s)
            _log(t, out=dp).mul_(dr)
            if envelope is not None and found.envelope is not None:
                torch.sum(dp, 1, out=found.envelope[b.gates])
                both.view(2, b.n_gates, f).mul_(envelope[b.gates].view(1, -1, 1))
            both.addcmul_(both, gates, value=-1)
            found.take(number, b, both)

    each_block(list(enumerate(plan.blocks)), work)
    return found.result()


def _stretches(b: Block) -> Iterator[slice]:
    """The gates of a block in pieces whose planes fit the cache; a large crystal is a block of its own."""
    for first in range(0, b.n_gates, STRETCH):
        yield slice(first, min(first + STRETCH, b.n_gates))


def _gathered(plan: EdgePlan, b: Block, ab: Tensor, distances: Tensor) -> Tensor:
    """``a_i + b_j + c_u`` of the filters of a block, then of its cores, (2g, F)."""
    f = distances.shape[1] // 2
    of_atoms = ab.view(-1, f)[b.atom_rows]
    if plan.basis is None:
        found = bag_sum(of_atoms, b.rows, b.rows_start)
        found.view(2, b.n_gates, f).add_(_planes(distances[b.gates]))
        return found
    table = ab.new_empty(b.n_rows, f)
    table[: len(of_atoms)] = of_atoms
    torch.mm(plan.basis[b.distances], distances, out=table[len(of_atoms) :].view(-1, 2 * f))
    return bag_sum(table, b.rows, b.rows_start)


def _planes(rows: Tensor) -> Tensor:
    """(g, 2F) rows as filters and cores, (2, g, F), of the same memory."""
    return rows.view(len(rows), 2, -1).transpose(0, 1)


def _of_gates(b: Block, of_atoms: Tensor, out: Tensor | None = None) -> Tensor:
    """Sums of (N, F) rows over the centres that each gate of a block goes to, (g, F)."""
    way, mine = b.backward, of_atoms[b.atoms]
    if way.centre_start is None:
        return torch.index_select(mine, 0, way.centre, out=out)
    found = bag_sum(mine, way.centre, way.centre_start)
    return found if out is None else out.copy_(found)


def _take(size: int, like: Tensor) -> Tensor:
    """A flat tensor of at least ``size`` numbers with any content, used before if one is large enough."""
    for k, spare in enumerate(_spare):
        if size <= spare.numel() <= 2 * size + 4096 and spare.dtype == like.dtype:
            return _spare.pop(k)
    return like.new_empty(size + size // 4)


def _give_back(space: Tensor) -> None:
    _spare.append(space)
    del _spare[:-MAX_SPARE]


def _part(flat: Tensor, first: int, gates: int, f: int) -> Tensor:
    """Filters of some gates, then their cores, (2g, F), in one stretch of memory."""
    return flat[2 * first * f : 2 * (first + gates) * f].view(2 * gates, f)


def _log(x: Tensor, out: Tensor) -> Tensor:
    """Natural logarithm of contiguous float32 numbers on the CPU; NumPy with AVX takes a third of the time of torch."""
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return torch.log(x, out=out)
    np.log(x.numpy(), out=out.numpy())
    return out
