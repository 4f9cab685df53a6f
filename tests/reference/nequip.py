"""NequIP one edge and one path at a time, with nothing but its equations and coefficients that are given."""

from collections.abc import Callable

import torch
from crystal_nequip.paths import Paths, products
from torch import Tensor

from crystalcli.contracts.irreps import Irreps

Coefficients = Callable[[int, int, int], Tensor]
"""l₁, l₂, l₃ → C of real harmonics, ``Σ C² = 1``."""


def messages(
    x: dict[str, Tensor], y: Tensor, weights: list[Tensor], paths: Paths, edges: Tensor, c: Coefficients
) -> dict[str, Tensor]:
    """``Σ_e √(2l + 1) w_p Σ_ij C_ijk x_i Y_j`` of every path, (N, 2l + 1, Σ channels) by kind.

    Args:
        x: (N, 2l + 1, channels) by kind. y: (E, (l_max + 1)²).
        weights: (E, channels) of each path: by the kind of x, then the order of Y, then the kind of the product.
    """
    n = len(next(iter(x.values())))
    found: dict[str, list[Tensor]] = {}
    left = list(weights)
    for kind in x:
        for order in range(paths.l_max + 1):
            for to in products(kind, order, even=paths.even):
                if to not in paths.kinds:
                    continue
                table, w = c(int(kind[:-1]), order, int(to[:-1])), left.pop(0)
                rows = [[] for _ in range(n)]
                for e, (i, j) in enumerate(edges.T.tolist()):
                    harmonics = y[e, order**2 : (order + 1) ** 2]
                    pair = torch.einsum("abk,ac,b->kc", table.to(y), x[kind][j], harmonics)
                    rows[i].append((2 * int(to[:-1]) + 1) ** 0.5 * pair * w[e])
                zero = torch.zeros(2 * int(to[:-1]) + 1, x[kind].shape[2], dtype=y.dtype)
                found.setdefault(to, []).append(torch.stack([sum(r, zero) for r in rows]))
    return {k: torch.cat(v, 2) for k, v in found.items()}


def weights_of_paths(w: Tensor, paths: Paths) -> list[Tensor]:
    """Columns (E, P) as the package orders them → (E, channels) of each path as :func:`messages` takes them."""
    places = {}
    for g in paths.groups:
        for k, kind in enumerate(g.to):
            begin = g.weights + k * g.source.count
            places[g.source.start, g.order, kind] = w[:, begin : begin + g.source.count]
    return [places[source.start, order, kind] for source, order, kind in paths.by_source]


def by_kind(rows: Tensor, irreps: Irreps) -> dict[str, Tensor]:
    """(N, F) component by component → (N, 2l + 1, channels) by kind."""
    return {t.kind: rows[:, t.start : t.columns.stop].view(-1, t.size, t.count) for t in irreps.terms}
