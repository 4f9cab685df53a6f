"""Optimiser ``muon``: orthogonal steps for the matrices of hidden layers, AdamW for all other weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""a, b, c of p(s) = as + bs³ + cs⁵, which takes singular values in (0, 1] to about 0.7 … 1.2 after five rounds."""
ROUNDS = 5
MOMENTUM = 0.95


def hidden_matrices(model: nn.Module) -> set[str]:
    """Names of the weights that lie between layers: matrices of linear maps to and from more than one number."""
    return {
        f"{prefix}.weight" if prefix else "weight"
        for prefix, module in model.named_modules()
        if isinstance(module, nn.Linear) and min(module.weight.shape) > 1
    }


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices (B, R, C) with nearly the same singular vectors and singular values of about one.

    Newton–Schulz iteration of K. Jordan et al., Muon (2024), kellerjordan.github.io/posts/muon: X ← aX + (bA + cA²)X,
    A = XXᵀ, from X of Frobenius norm one. A matrix of zeros stays one.
    """
    a, b, c = QUINTIC
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Groups with ``hidden`` are matrices that step by Muon, the others go to AdamW.

    Muon's step of an (R, C) matrix W, with its Nesterov momentum M ← μM + G::

        W ← (1 − ηλ) W − 0.2 √max(R, C) η · orthogonalized(G + μM)

    The factor gives steps the root mean square of AdamW's, so that one rate η and one decay λ suit both (J. Liu et al.,
    Muon is Scalable for LLM Training, arXiv:2502.16982, eq. 4).

    Args:
        groups: of weights; ``hidden`` says which.
        lr: η. weight_decay: λ.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "hidden": False})
        one = nn.Parameter(torch.zeros(1))
        self._adamw = torch.optim.AdamW([one], lr=lr, weight_decay=weight_decay)
        for group in self.param_groups:
            for name, value in self._adamw.defaults.items():
                group.setdefault(name, value)
        self._share()

    def _share(self) -> None:
        """AdamW works on the groups and states of this one."""
        self._adamw.param_groups = [g for g in self.param_groups if not g["hidden"]]
        self._adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of all weights that have a gradient."""
        assert closure is None
        self._adamw.step()
        for group in self.param_groups:
            if group["hidden"]:
                by_shape: dict[torch.Size, list[Tensor]] = {}
                for weight in group["params"]:
                    if weight.grad is not None:
                        by_shape.setdefault(weight.shape, []).append(weight)
                for (rows, columns), weights in by_shape.items():
                    rate = 0.2 * math.sqrt(max(rows, columns)) * group["lr"]
                    steps = orthogonalized(torch.stack([self._lookahead(w) for w in weights]))
                    torch._foreach_mul_(weights, 1.0 - group["lr"] * group["weight_decay"])
                    torch._foreach_add_(weights, list(steps.unbind()), alpha=-rate)

    def _lookahead(self, weight: Tensor) -> Tensor:
        """G + μM, after G went into M."""
        assert weight.grad is not None
        momentum: Tensor = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
        momentum.mul_(MOMENTUM).add_(weight.grad)
        return weight.grad.add(momentum, alpha=MOMENTUM)
