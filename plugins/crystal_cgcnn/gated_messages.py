"""Sums of gated messages that can be differentiated twice, as training on forces does.

``m_i = Σ_e f_e σ(p_e) softplus(q_e)`` with ``[p, −q]_e = a_i + b_j + c_e``. With ``r = −q`` and ``L = log σ(r)`` the
message is ``−f s L``: one sigmoid over filters and cores together serves value and derivatives. The gradient is a
function of its own (:class:`GatedGradient`) with an analytic gradient; both walk the edges in stretches whose planes
stay in the cache. Exact to rounding, and the same bits in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystal_cgcnn.message_plan import MessagePlan, Stretch
from crystalcli.contracts.nn.edge_blocks import bag_sum
from crystalcli.contracts.nn.gate_sum import R_MIN, each_block


def gated_messages(addends: Tensor, radial: Tensor, envelope: Tensor, plan: MessagePlan) -> Tensor:
    """Messages summed for every atom, (N, F).

    Args:
        addends: (N, 4F), what an atom adds as centre and as neighbor to the filter, then to the negated core.
        radial: c, what the distance adds to filter and negated core, (E, 2F).
        envelope: f, (E,).
        plan: of the edges.
    """
    if not plan.n_edges:
        return addends[:, : addends.shape[1] // 4] * 0.0
    result: Tensor = GatedMessages.apply(addends, radial, envelope, plan)  # type: ignore[no-untyped-call]
    return result


class GatedMessages(torch.autograd.Function):
    """The sums; see :func:`gated_messages`. Keeps σ(p), σ(r) and L of every stretch, (3e, F)."""

    @staticmethod
    def forward(ctx: Any, addends: Tensor, radial: Tensor, envelope: Tensor, plan: MessagePlan) -> Tensor:
        """The sums, (N, F)."""
        f = radial.shape[1] // 2
        rows, planes = addends.reshape(-1, f), _planes(radial)
        out = addends.new_empty(plan.n_atoms, f)
        kept = [out] * len(plan.stretches)

        def work(queue: Iterator[tuple[int, Stretch]]) -> None:
            for k, x in queue:
                e = x.n_edges
                raw = bag_sum(rows, x.ends, x.ends_start)
                raw.view(2, e, f).add_(planes[:, x.edges])
                raw[e:].clamp_(min=R_MIN)
                gates = raw.new_empty(3 * e, f)
                torch.sigmoid(raw, out=gates[: 2 * e])
                torch.log(gates[e : 2 * e], out=gates[2 * e :])
                torch.mul(gates[:e], gates[2 * e :], out=raw[:e])
                out[x.atoms] = bag_sum(raw, x.order[:e], x.order_start, envelope[x.edges])
                kept[k] = gates

        each_block(list(enumerate(plan.stretches)), work)
        ctx.save_for_backward(addends, radial, envelope)
        ctx.plan, ctx.kept = plan, kept
        return out.neg_()

    @staticmethod
    def backward(ctx: Any, dm: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of all but the plan; they can be differentiated once more."""
        found = GatedGradient.apply(dm, *ctx.saved_tensors, ctx.plan, ctx.kept)  # type: ignore[no-untyped-call]
        return (*found, None)


class GatedGradient(torch.autograd.Function):
    """Gradient of :class:`GatedMessages` for the gradient ``dm`` of its result.

    With ``h = −dm_i``: ``dp = f h s(1−s) L``, ``dr = f h s (1−σ(r))``, ``df = Σ_F h s L``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        dm: Tensor,
        addends: Tensor,
        radial: Tensor,
        envelope: Tensor,
        plan: MessagePlan,
        kept: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of addends, radial, envelope."""
        f = radial.shape[1] // 2
        d_addends = addends.new_empty(plan.n_atoms, 4, f)
        d_radial, d_envelope = torch.empty_like(radial), torch.empty_like(envelope)
        negative = -dm

        def work(queue: Iterator[tuple[int, Stretch]]) -> None:
            for k, x in queue:
                e, gates = x.n_edges, kept[k]
                both = dm.new_empty(2 * e, f)
                dp, dr = both[:e], both[e:]
                torch.index_select(negative[x.atoms], 0, x.centre, out=dr)
                dr.mul_(gates[:e])
                torch.mul(dr, gates[2 * e :], out=dp)
                torch.sum(dp, 1, out=d_envelope[x.edges])
                both.view(2, e, f).mul_(envelope[x.edges].view(1, e, 1))
                both.addcmul_(both, gates[: 2 * e], value=-1)
                _to_centres(x, both, d_addends, d_radial)

        each_block(list(enumerate(plan.stretches)), work)
        _to_neighbors(plan, d_radial, d_addends)
        ctx.save_for_backward(dm, radial, envelope)
        ctx.plan, ctx.kept = plan, kept
        ctx.set_materialize_grads(False)
        return d_addends.view(plan.n_atoms, 4 * f), d_radial, d_envelope

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, t_addends: Tensor | None, t_radial: Tensor | None, t_envelope: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Gradients of dm, addends, radial, envelope for cotangents of the three gradients.

        With y, x, φ the cotangents of dp, dr, df of an edge, ``α = y(1−s)``, ``τ = 1−σ(r)``, ``n = αL + xτ`` and
        ``k = f n + φ L`` the sum to be differentiated is ``Σ h s k``, so that its derivatives are ``s k`` (h),
        ``h s(1−s)(k − f y s L)`` (p), ``h s τ (f(α − x σ(r)) + φ)`` (r) and ``Σ_F h s n`` (f).
        """
        dm, radial, envelope = ctx.saved_tensors
        plan: MessagePlan = ctx.plan
        f = radial.shape[1] // 2
        rows = dm.new_zeros(4 * plan.n_atoms, f) if t_addends is None else t_addends.reshape(-1, f)
        planes = None if t_radial is None else _planes(t_radial)
        phi = torch.zeros_like(envelope) if t_envelope is None else t_envelope
        d_addends = dm.new_empty(plan.n_atoms, 4, f)
        d_dm, d_radial, d_envelope = torch.empty_like(dm), torch.empty_like(radial), torch.empty_like(envelope)
        negative = -dm

        def work(queue: Iterator[tuple[int, Stretch]]) -> None:
            for k, stretch in queue:
                e, edges = stretch.n_edges, stretch.edges
                s, _, log = ctx.kept[k].view(3, e, f).unbind(0)
                both = bag_sum(rows, stretch.ends, stretch.ends_start)
                if planes is not None:
                    both.view(2, e, f).add_(planes[:, edges])
                f_e, phi_e = envelope[edges].unsqueeze(1), phi[edges].unsqueeze(1)
                hs = torch.index_select(negative[stretch.atoms], 0, stretch.centre).mul_(s)
                gated = both * ctx.kept[k][: 2 * e]
                alpha, n = both.sub_(gated).view(2, e, f).unbind(0)
                dp, dr = gated[:e], gated[e:]
                dp.mul_(log).mul_(f_e)
                torch.sub(alpha, dr, out=dr).mul_(f_e).add_(phi_e)
                n.addcmul_(alpha, log)
                torch.sum(torch.mul(hs, n, out=alpha), 1, out=d_envelope[edges])
                n.mul_(f_e).addcmul_(log, phi_e)
                torch.sub(n, dp, out=dp)
                gated.view(2, e, f).mul_(hs)
                gated.addcmul_(gated, ctx.kept[k][: 2 * e], value=-1)
                d_dm[stretch.atoms] = bag_sum(n.mul_(s), stretch.order[:e], stretch.order_start)
                _to_centres(stretch, gated, d_addends, d_radial)

        each_block(list(enumerate(plan.stretches)), work)
        _to_neighbors(plan, d_radial, d_addends)
        return d_dm.neg_(), d_addends.view(plan.n_atoms, 4 * f), d_radial, d_envelope, None, None


def _planes(radial: Tensor) -> Tensor:
    """(E, 2F) as filters and cores, (2, E, F), of the same memory."""
    return radial.view(radial.shape[0], 2, -1).transpose(0, 1)


def _to_centres(x: Stretch, both: Tensor, d_addends: Tensor, d_radial: Tensor) -> None:
    """Hand the gradients (2e, F) of filters and cores of a stretch on to centres and distances."""
    n = x.atoms.stop - x.atoms.start
    d_addends[x.atoms, 0::2] = bag_sum(both, x.order, x.both_start).view(2, n, -1).transpose(0, 1)
    _planes(d_radial)[:, x.edges] = both.view(2, x.n_edges, -1)


def _to_neighbors(plan: MessagePlan, d_radial: Tensor, d_addends: Tensor) -> None:
    """Hand the gradients (E, 2F) of filters and cores on to neighbors."""
    f = d_radial.shape[1]
    summed = bag_sum(d_radial, plan.by_neighbor, plan.neighbor_start)
    d_addends[:, 1::2] = summed.view(plan.n_atoms, 2, f // 2)
