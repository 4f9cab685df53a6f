"""Architecture ``threebody`` atom by atom, edge by edge and angle by angle, from the weights of a network."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = dict[str, Floats]


def silu(x: Floats) -> Floats:
    return x / (1.0 + np.exp(-x))


def layer_norm(x: Floats, w: Weights, name: str) -> Floats:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def embeddings(
    w: Weights,
    numbers: list[int],
    rows: Floats,
    ends: list[tuple[int, int]],
    away: Floats,
    expanded: Floats,
    cutoff: Floats,
    n_conv: int,
    l_max: int,
    scale: float,
) -> Floats:
    """Embeddings (N, F).

    Args:
        w: the network's weights by name. numbers: (N,). rows: (N, D). ends: centre and neighbor of every edge.
        away: (E, 3) Å. expanded: (E, K). cutoff: (E,). n_conv, l_max: of the network. scale: n̄^-½.
    """
    v = [w["nodes.weight"] @ row + w["nodes.bias"] + w["rows.weight"][z] for z, row in zip(numbers, rows, strict=True)]
    u = []
    for row in expanded:
        hidden = silu(w["edges.0.weight"] @ row + w["edges.0.bias"])
        u.append(w["edges.2.weight"] @ hidden + w["edges.2.bias"])
    for k in range(n_conv):
        of_this = f"convolutions.{k}."
        own = {name.removeprefix(of_this): x for name, x in w.items() if name.startswith(of_this)}
        normed = [layer_norm(x, own, "norm_nodes") for x in v]
        sums, new = [np.zeros_like(x) for x in v], []
        for e, (i, j) in enumerate(ends):
            z = own["linear.weight"] @ np.concatenate([normed[i], normed[j], u[e]]) + own["linear.bias"]
            channels = own["moments.weight"].shape[0]
            seen = np.zeros((channels, l_max))
            for other, (centre, _) in enumerate(ends):
                if centre == i:
                    of_other = own["moments.weight"] @ u[other]
                    for order in range(1, l_max + 1):
                        one = np.zeros(order + 1)
                        one[order] = 1.0
                        factor = (2 * order + 1) * legendre.legval(cosine(away[e], away[other]), one)
                        seen[:, order - 1] += scale * cutoff[other] * factor * of_other
            message = silu(layer_norm(z + own["angles.weight"] @ seen.ravel(), own, "norm"))
            f = len(v[0])
            sums[i] += scale * cutoff[e] * message[:f]
            new.append(u[e] + message[f:] if len(message) > f else u[e])
        u = new
        v = [x + own["mix.weight"] @ silu(s) + own["mix.bias"] for x, s in zip(v, sums, strict=True)]
    return np.stack([layer_norm(x, w, "norm") for x in v])
