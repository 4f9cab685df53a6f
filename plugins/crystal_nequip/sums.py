"""Weighted products of neighbors' numbers with harmonics, summed over the neighbors, with both derivatives written out.

The convolution of NequIP (S. Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5) sums
``w_p(r_e) Σ_if C_ifk x_j,i Y_f(r̂_e)`` over the edges e of an atom, for every path p and channel. The Clebsch–Gordan
coefficients C are the same for all edges, so they can wait: what is summed over edges is

    A_pfi = Σ_e Y_f z_pi,    z_pi = w_p x_i,    w = h W                                      (1)

with h the last hidden layer of the radial network and W its last weights; C then acts on atoms, of which there are
some fifty times fewer. (1) is for every atom one product of two matrices, (f, e) with (e, pi), per order of harmonics.

It is linear in each of h, W, x, Y, and so are its derivatives. For G = ∂E/∂A:

    dz_pi = Σ_f Y_f G_pfi,   dw_p = Σ_i dz_pi x_i,   dx_i = Σ_p dz_pi w_p,   dY_f = Σ_pi z_pi G_pfi      (2)

and ``dh = dw Wᵀ``, ``dW = hᵀ dw``. A training on forces differentiates (2). For cotangents ĥ, x̂, ŷ of dh, dx, dY
(and ŵ of dw through ``ĥ W + h Ŵ``), ``ẑ = ŵ x + w x̂``:

    of G: Σ_e (Y_f ẑ_pi + ŷ_f z_pi)                                                        (3)
    of w: Σ_i (dz x̂ + dẑ x),   of x: Σ_p (dz ŵ + dẑ w),   of Y: Σ_pi ẑ G,    dẑ_pi = Σ_f ŷ_f G_pfi

and of h and W what follows from those of w and ŵ, ``dw = Σ_i dz x`` for the latter. Left to autograd this would keep
every product of every edge in memory and pass over it some dozens of times; here blocks of a few atoms, whose edges fit
the cache, are worked through one after the other, and nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from crystal_nequip.blocks import Block, Blocks, Desk, Factors
from crystal_nequip.paths import Paths


def neighbor_sums(
    hidden: Tensor, weights: Tensor, x: Tensor, harmonics: Tensor, paths: Paths, blocks: Blocks
) -> tuple[Tensor, ...]:
    """A of (1), for every order of harmonics that has paths (N, 2l_f + 1, columns); can be differentiated twice.

    Args:
        hidden: h (E, H).
        weights: W (H, P), columns as :class:`Paths` has them.
        x: (N, D), component by component.
        harmonics: Y (E, (l_max + 1)²).
        paths: what meets what.
        blocks: of the graph.
    """
    found: tuple[Tensor, ...] = NeighborSums.apply(hidden, weights, x, harmonics, paths, blocks)  # type: ignore[no-untyped-call]
    return found


class NeighborSums(torch.autograd.Function):
    """See :func:`neighbor_sums`."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weights: Tensor, x: Tensor, harmonics: Tensor, paths: Paths, blocks: Blocks
    ) -> tuple[Tensor, ...]:
        """The sums (1)."""
        ctx.save_for_backward(hidden, weights, x, harmonics)
        ctx.paths, ctx.blocks = paths, blocks
        out = [x.new_zeros(len(x), 2 * order + 1, paths.columns(order)) for order in paths.orders]
        given = _Given(hidden, weights, x, harmonics)
        for block in blocks.of(paths, hidden.shape[1]):
            desk = blocks.desk(block, paths, x, hidden.shape[1])
            given.lay_out(block, desk.hidden, desk.factors, desk.harmonics)
            desk.factors.multiplied(desk.products)
            for k, (y, z) in enumerate(zip(desk.by_order, desk.products.by_order, strict=True)):
                out[k].index_copy_(0, block.atoms, y.mT @ z)
        return tuple(out)

    @staticmethod
    def backward(ctx: Any, *d_sums: Tensor) -> tuple[Tensor | None, ...]:
        """(2)."""
        found: tuple[Tensor | None, ...] = NeighborGradient.apply(  # type: ignore[no-untyped-call]
            *ctx.saved_tensors, ctx.paths, ctx.blocks, ctx.needs_input_grad[:4], *d_sums
        )
        return *found, None, None


class NeighborGradient(torch.autograd.Function):
    """The gradients (2) of :class:`NeighborSums`."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weights: Tensor,
        x: Tensor,
        harmonics: Tensor,
        paths: Paths,
        blocks: Blocks,
        wanted: Sequence[bool],
        *d_sums: Tensor,
    ) -> tuple[Tensor | None, ...]:
        """Gradients of h, W, x and Y as far as they are wanted."""
        ctx.save_for_backward(hidden, weights, x, harmonics, *d_sums)
        ctx.paths, ctx.blocks = paths, blocks
        ctx.set_materialize_grads(False)
        given, found = _Given(hidden, weights, x, harmonics), _Found(hidden, weights, x, harmonics, wanted)
        for block in blocks.of(paths, hidden.shape[1]):
            desk = blocks.desk(block, paths, x, hidden.shape[1])
            given.lay_out(block, desk.hidden, desk.factors, desk.harmonics)
            if found.y is not None:
                desk.factors.multiplied(desk.products)
            for k, y in enumerate(desk.by_order):
                g = d_sums[k].index_select(0, block.atoms)
                if found.y is not None:
                    torch.bmm(desk.products.by_order[k], g.mT, out=desk.d_by_order[k])
                torch.bmm(y, g, out=desk.d_products.by_order[k])
            desk.terms.begin()
            found.add(block, desk, weights)
        return found.given

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """(3), of the cotangents of the gradients of h, W, x, Y."""
        hidden, weights, x, harmonics, *d_sums = ctx.saved_tensors
        paths: Paths = ctx.paths
        out = [torch.zeros_like(g) for g in d_sums]
        given, found = _Given(hidden, weights, x, harmonics), _Found(hidden, weights, x, harmonics, (True,) * 4)
        t_weights = cotangents[1]
        zeros = (torch.zeros_like(t) if c is None else c for c, t in zip(cotangents, ctx.saved_tensors, strict=False))
        t_hidden, _, t_x, t_harmonics = zeros
        other = _Given(t_hidden, weights, t_x, t_harmonics)
        for block in ctx.blocks.of(paths, hidden.shape[1]):
            pair = ctx.blocks.pair(block, paths, x, hidden.shape[1])
            desk, also = pair.one, pair.other
            given.lay_out(block, desk.hidden, desk.factors, desk.harmonics)
            other.lay_out(block, also.hidden, also.factors, also.harmonics)
            if t_weights is not None:
                also.factors.w.addmm_(desk.hidden, t_weights)
            desk.factors.multiplied(desk.products)
            desk.factors.multiplied_with(also.factors, also.products)
            for k, (y, t_y) in enumerate(zip(desk.by_order, also.by_order, strict=True)):
                z, t_z = desk.products.by_order[k], also.products.by_order[k]
                g = d_sums[k].index_select(0, block.atoms)
                torch.bmm(t_z, g.mT, out=desk.d_by_order[k])
                out[k].index_copy_(0, block.atoms, torch.baddbmm(y.mT @ t_z, t_y.mT, z))
                torch.bmm(y, g, out=desk.d_products.by_order[k])
                torch.bmm(t_y, g, out=also.d_products.by_order[k])
            pair.terms[0].begin()
            pair.terms[1].add()
            found.add(block, desk, weights)
            pair.terms[2].begin_weights()
            found.add_of_weights(block, also, t_weights)
        return *found.given, None, None, None, *out


class _Given:
    """h, W, x and Y of a graph, of which blocks are laid out."""

    def __init__(self, hidden: Tensor, weights: Tensor, x: Tensor, harmonics: Tensor) -> None:
        self.hidden, self.harmonics = _padded(hidden), _padded(harmonics)
        self.weights, self.x = weights, x

    def lay_out(self, block: Block, hidden: Tensor, factors: Factors, harmonics: Tensor) -> None:
        """Put the rows of a block where they are worked on; ``w = h W``."""
        torch.index_select(self.hidden, 0, block.edges, out=hidden)
        torch.index_select(self.harmonics, 0, block.edges, out=harmonics)
        torch.index_select(self.x, 0, block.neighbors, out=factors.near)
        torch.mm(hidden, self.weights, out=factors.w)


class _Found:
    """Gradients of h, W, x and Y that grow block by block."""

    def __init__(self, hidden: Tensor, weights: Tensor, x: Tensor, harmonics: Tensor, wanted: Sequence[bool]) -> None:
        h, w, near, y = wanted
        self.h = hidden.new_zeros(len(hidden) + 1, hidden.shape[1]) if h else None
        self.weights = torch.zeros_like(weights) if w else None
        self.x = torch.zeros_like(x) if near else None
        self.y = harmonics.new_zeros(len(harmonics) + 1, harmonics.shape[1]) if y else None

    def add(self, block: Block, desk: Desk, weights: Tensor) -> None:
        """Take in what a block gave; at empty places that is zero, or goes into the row past the last edge."""
        d_w, d_near = desk.d_factors.w, desk.d_factors.near
        if self.h is not None:
            self.h.index_copy_(0, block.edges, d_w @ weights.mT)
        if self.weights is not None:
            self.weights.addmm_(desk.hidden.mT, d_w)
        if self.x is not None:
            self.x.index_add_(0, block.neighbors, d_near)
        if self.y is not None:
            for none in desk.d_without_paths:
                none.zero_()
            self.y.index_copy_(0, block.edges, desk.d_harmonics)

    def add_of_weights(self, block: Block, also: Desk, t_weights: Tensor | None) -> None:
        """What ŵ = ĥ W + h Ŵ adds to the gradients of W and h."""
        if self.weights is not None:
            self.weights.addmm_(also.hidden.mT, also.d_factors.w)
        if self.h is not None and t_weights is not None:
            self.h.index_add_(0, block.edges, also.d_factors.w @ t_weights.mT)

    @property
    def given(self) -> tuple[Tensor | None, ...]:
        """Of h, W, x, Y."""
        h, y = (None if t is None else t[:-1] for t in (self.h, self.y))
        return h, self.weights, self.x, y


def _padded(x: Tensor) -> Tensor:
    """With a row of zeros at the end, for places without an edge."""
    return torch.cat([x, x.new_zeros(1, x.shape[1])])
