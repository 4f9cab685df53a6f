"""The inner loop of the CGCNN convolution on the CPU: sums of gated messages, block by block.

Exact to rounding. ``softplus(q) = −log σ(−q)``, so with r = −q one sigmoid serves value and derivative. Gather and add
of ``a_i + b_j + c_u`` is one sweep of ``embedding_bag``, and so is every scatter of the backward pass: fast, and the
same bits in every run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystalcli.contracts.nn.edge_blocks import Block, bag_sum
from crystalcli.contracts.nn.edge_plan import EdgePlan

T = TypeVar("T")

R_MIN = -87.0
"""σ(−87) is about the smallest normal float32; below, its logarithm would become infinite."""

_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)

_spare: list[Tensor] = []
"""Memory of gates given back by a backward pass. The first touch of fresh memory takes as long as the gates."""
MAX_SPARE = 6


class GateSum(torch.autograd.Function):
    """``m_i = Σ_e σ(p_e) softplus(−r_e)`` with ``p_e = ap_i + bp_j + cp_u`` and ``r_e = ar_i + br_j + cr_u``.

    ``ab`` holds (R, 4F) rows [ap, bp, ar, br]; rows [cp, cr] are the products of the plan's basis and ``w``, (K, 2F),
    made block by block. r is the negated core, r = −q. Keeps 8 bytes per gate and feature for the backward pass, which
    can run once.
    """

    @staticmethod
    def forward(ctx: Any, ab: Tensor, w: Tensor, plan: EdgePlan) -> Tensor:
        """Messages summed for every atom, (N, F)."""
        f = w.shape[1] // 2
        ab_rows = ab.view(-1, f)
        out = ab.new_empty(plan.n_atoms, f)
        longest = max(len(b.rows_start) for b in plan.blocks) * f
        kept = _take(2 * plan.n_gates * f, ab) if any(ctx.needs_input_grad) else None

        def work(queue: Iterator[Block]) -> None:
            scratch = ab.new_empty(longest) if kept is None else kept
            for b in queue:
                g = len(b.rows_start) // 2
                gates = _part(scratch, 0 if kept is None else b.first_gate, g, f)
                table = ab.new_empty(b.n_rows, f)
                atoms = b.atom_rows.stop - b.atom_rows.start
                table[:atoms] = ab_rows[b.atom_rows]
                torch.mm(plan.basis[b.distances], w, out=table[atoms:].view(-1, 2 * f))
                raw = bag_sum(table, b.rows, b.rows_start)
                raw[g:].clamp_(min=R_MIN)
                torch.sigmoid(raw, out=gates)
                messages = _log(gates[g:], out=raw[g:]).mul_(gates[:g])
                out[b.atoms] = bag_sum(messages, b.gate, b.gate_start)

        each_block(plan.blocks, work)
        ctx.plan, ctx.kept, ctx.longest, ctx.shapes = plan, kept, longest, (ab.shape, w.shape)
        return out.neg_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dm: Tensor) -> tuple[Tensor, Tensor, None]:
        """Gradients of the addends."""
        kept: Tensor | None = ctx.kept
        if kept is None:
            raise RuntimeError("the saved gates were released: backward runs once per forward")
        ctx.kept = None
        plan: EdgePlan = ctx.plan
        d_ab, d_w = dm.new_empty(ctx.shapes[0]), dm.new_empty(len(plan.blocks), *ctx.shapes[1])
        f = dm.shape[1]
        ab_rows, negative = d_ab.view(-1, f), -dm

        def work(queue: Iterator[tuple[int, Block]]) -> None:
            scratch = dm.new_empty(ctx.longest)
            for k, b in queue:
                g = len(b.rows_start) // 2
                s, t = _part(kept, b.first_gate, g, f).chunk(2)
                both = _part(scratch, 0, g, f)
                dp, dr = both.chunk(2)
                # with h = −dm·s: d/dp = h·log(t)·(1 − s), d/dr = h·(1 − t)
                way = b.backward
                if way.centre_start is None:
                    torch.index_select(negative[b.atoms], 0, way.centre, out=dr)
                    dr.mul_(s)
                else:
                    torch.mul(bag_sum(negative[b.atoms], way.centre, way.centre_start), s, out=dr)
                _log(t, out=dp).mul_(dr)
                torch.addcmul(dp, dp, s, value=-1, out=dp)
                torch.addcmul(dr, dr, t, value=-1, out=dr)
                rows = bag_sum(both, way.back, way.back_start)
                atoms = b.atom_rows.stop - b.atom_rows.start
                ab_rows[b.atom_rows] = rows[:atoms]
                torch.mm(plan.basis[b.distances].t(), rows[atoms:].view(-1, 2 * f), out=d_w[k])

        each_block(list(enumerate(plan.blocks)), work)
        _give_back(kept)
        return d_ab, d_w.sum(0), None


class Moments(torch.autograd.Function):
    """Σ over edges of products that involve node features, from products over atoms only.

    Returns ``[Σ v_i v_iᵀ | Σ v_i v_jᵀ | Σ v_j v_jᵀ | Σ v_i uᵀ | Σ v_j uᵀ]``, (F, 3F + 2K), and [Σ v_i, Σ v_j], (2, F):
    ``Σ_e v_i v_jᵀ = Vᵀ (S V)`` with ``(S V)_i = Σ_{e of i} v_j``; u is centred.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
        """The sums."""
        f = v.shape[1]
        sums = plan.sums
        neighbors = sums.adjacency.neighbors(v)
        parts = [v * sums.degree, neighbors, v * sums.sent, sums.basis_by_centre, sums.basis_by_neighbor]
        right = torch.cat(parts, 1)
        ctx.plan = plan
        ctx.save_for_backward(v, right)
        return torch.mm(v.t(), right), right[:, : 2 * f].sum(0).view(2, f)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_products: Tensor, d_sums: Tensor) -> tuple[Tensor, None]:
        """Gradient of v."""
        v, right = ctx.saved_tensors
        known = ctx.plan.sums
        f = v.shape[1]
        d = d_products.clone()
        d12 = d[:, f : 2 * f].clone()
        for own in (slice(0, f), slice(2 * f, 3 * f)):  # v stands on both sides of these two
            d[:, own] += d_products[:, own].t()
        back = known.adjacency.centres(torch.addmm(d_sums[1], v, d12))
        return back.addmm_(right, d.t()).addcmul_(known.degree, d_sums[0]), None


def edge_statistics(v: Tensor, weight: Tensor, plan: EdgePlan) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over all edges of ``(v_i ⊕ v_j ⊕ u) W``, (2F,) each, without a product over edges.

    Args:
        v: node features, (R, F).
        weight: W, (2F + K, 2F).
        plan: of the batch.
    """
    n, f, k = float(plan.n_edges), v.shape[1], plan.basis.shape[1]
    origin = v.detach().mean(0)  # any constant is exact; the mean keeps the squares small
    products, sums = Moments.apply(v - origin, plan)  # type: ignore[no-untyped-call]
    m1, m2 = sums[0] / n, sums[1] / n
    c11, c12, c22, c13, c23 = (products / n).split([f, f, f, k, k], 1)
    c11, c12, c22 = c11 - torch.outer(m1, m1), c12 - torch.outer(m1, m2), c22 - torch.outer(m2, m2)
    w1, w2, w3 = weight[:f], weight[f : 2 * f], weight[2 * f :]
    variance = (
        (w1 * (c11 @ w1 + 2.0 * (c12 @ w2 + c13 @ w3))).sum(0)
        + (w2 * (c22 @ w2 + 2.0 * (c23 @ w3))).sum(0)
        + (w3 * (plan.sums.basis_covariance @ w3)).sum(0)
    )
    return (m1 + origin) @ w1 + (m2 + origin) @ w2 + plan.sums.basis_mean @ w3, variance.clamp_min(0.0)


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


def each_block(blocks: Sequence[T], work: Callable[[Iterator[T]], None]) -> None:
    """Run ``work`` over the blocks in as many threads as torch may use, each operation single-threaded.

    torch releases the interpreter lock inside operations, and there is no barrier after each. Results do not depend on
    which thread took which block: every block writes rows of its own.
    """
    threads = torch.get_num_threads()
    helpers = min(threads, len(blocks)) - 1
    queue = iter(blocks)
    if helpers <= 0:
        work(queue)
        return
    if helpers not in _pools:
        _pools[helpers] = ThreadPoolExecutor(helpers, thread_name_prefix="gate-sum")

    def help_out() -> None:
        with torch.no_grad():  # gradient mode and thread count belong to the thread
            torch.set_num_threads(1)
            work(queue)

    torch.set_num_threads(1)
    try:
        futures = [_pools[helpers].submit(help_out) for _ in range(helpers)]
        work(queue)
        for future in futures:
            future.result()
    finally:
        torch.set_num_threads(threads)
