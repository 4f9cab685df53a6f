"""What NequIP is made of: linear maps by kind, self-connections, gates, radial networks.

Features of atoms are by kind: ``{"0e": (N, 1, C₀), "1o": (N, 3, C₁), …}``, components before channels, so that a linear
map is one product of matrices and what is summed over neighbors has its channels in a row.

Weights are drawn from a normal distribution of width one and divided by the root of how many meet, activations are
scaled so that normally distributed numbers keep their size: as in e3nn, whose factors these are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from crystalcli.contracts.element_tables import ElementTable
from crystalcli.contracts.irreps import SCALAR, Irreps

Kinds = dict[str, Tensor]

SILU, TANH = 1.6791767923989418, 1.5937334472592695
"""``⟨f(x)²⟩^(−1/2)`` for normally distributed x, as e3nn finds them from a million samples (exact: 1.6765, 1.5925).
Weights trained with these, ours and those of others, mean something with these only."""
PSEUDOSCALAR = "0o"
N_NUMBERS = 120
"""Rows of a table indexed by atomic number."""


def silu(x: Tensor) -> Tensor:
    """``SiLU(x)``, scaled."""
    return SILU * nn.functional.silu(x)


def counts(irreps: Irreps) -> dict[str, int]:
    """Channels by kind."""
    return {t.kind: t.count for t in irreps.terms}


class Linear(nn.Module):
    """``y_k = x_k W_k/√C_k`` for every kind k in both; scalars may have a constant added.

    Args:
        into: irreps of x. out: those of y. bias: whether scalars have one.
    """

    def __init__(self, into: Irreps, out: Irreps, *, bias: bool = False) -> None:
        super().__init__()
        given, wanted = counts(into), counts(out)
        self.weights = nn.ParameterDict(
            {k: nn.Parameter(torch.randn(given[k], wanted[k])) for k in wanted if k in given}
        )
        self.bias = nn.Parameter(torch.zeros(wanted[SCALAR])) if bias and SCALAR in wanted else None

    def forward(self, x: Mapping[str, Tensor]) -> Kinds:
        """Map x kind by kind; kinds that x lacks are left out."""
        found = {k: x[k] @ (w * w.shape[0] ** -0.5) for k, w in self.weights.items()}
        if self.bias is not None:
            found[SCALAR] = found[SCALAR] + self.bias
        return found


class SpeciesLinear(nn.Module):
    """``y_k = x_k W_k[Z]/√C_k``: a linear map of each element; of elements without weights zero.

    The tensor product of features with a one-hot element of S. Batzner et al., Nat. Commun. 13, 2453 (2022), divided by
    √C_k, and not by the root of how many elements there are, too, so that more elements change none that are there.

    Args:
        into: irreps of x. out: those of y. elements: atomic numbers with weights.
    """

    index: Tensor

    def __init__(self, into: Irreps, out: Irreps, elements: Sequence[int]) -> None:
        super().__init__()
        given, wanted = counts(into), counts(out)
        shapes = {k: (len(elements), given[k], wanted[k]) for k in wanted if k in given}
        self.weights = nn.ParameterDict({k: nn.Parameter(torch.randn(shape)) for k, shape in shapes.items()})
        self.element_tables = {f"weights.{k}": ElementTable(0) for k in shapes}
        index = torch.full((N_NUMBERS,), len(elements))
        index[list(elements)] = torch.arange(len(elements))
        # whole numbers that the elements of the training split fix
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Mapping[str, Tensor], atomic_numbers: Tensor) -> Kinds:
        """Map x kind by kind with the weights of (N,) atomic numbers."""
        rows = self.index.index_select(0, atomic_numbers)
        found = {}
        for kind, w in self.weights.items():
            none = w.new_zeros(1, *w.shape[1:])
            of_atoms = torch.cat([w * w.shape[1] ** -0.5, none]).index_select(0, rows)
            found[kind] = x[kind] @ of_atoms
        return found


class Gate(nn.Module):
    """``SiLU`` of scalars, ``tanh`` of pseudoscalars; channels of other kinds times ``SiLU`` of a scalar each.

    Args:
        out: irreps of what comes out, one term for every kind.

    Attributes:
        into: irreps of what goes in: those of ``out``, with the gates behind the scalars.
    """

    def __init__(self, out: Irreps) -> None:
        super().__init__()
        self.out = counts(out)
        self.gated = [k for k in self.out if k not in (SCALAR, PSEUDOSCALAR)]
        n_gates = sum(self.out[k] for k in self.gated)
        wanted = {k: n + n_gates * (k == SCALAR) for k, n in self.out.items()}
        self.into = Irreps.parse("+".join(f"{n}x{k}" for k, n in wanted.items()))

    def forward(self, x: Mapping[str, Tensor]) -> Kinds:
        """Features of ``into`` → of ``out``."""
        sizes = [self.out[SCALAR], *(self.out[k] for k in self.gated)]
        scalars, *gates = torch.split(silu(x[SCALAR]), sizes, 2)
        found = {SCALAR: scalars}
        if PSEUDOSCALAR in self.out:
            found[PSEUDOSCALAR] = TANH * torch.tanh(x[PSEUDOSCALAR])
        for kind, gate in zip(self.gated, gates, strict=True):
            found[kind] = x[kind] * gate
        return {k: found[k] for k in self.out}


class RadialNetwork(nn.Module):
    """``h = SiLU(… SiLU(B W₁) …)`` without constants, so that h vanishes with B at the cutoff; and the last weights W.

    Args:
        basis: functions of the distance. width, n_hidden: of the hidden layers. out: weights of an edge.
    """

    def __init__(self, basis: int, width: int, n_hidden: int, out: int) -> None:
        super().__init__()
        widths = [basis, *[width] * n_hidden, out]
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(a, b)) for a, b in pairwise(widths))

    def forward(self, basis: Tensor) -> tuple[Tensor, Tensor]:
        """(E, K) → h (E, width) and W (width, out) with ``w = h W``."""
        for k, w in enumerate(self.weights):
            scaled = w * ((SILU if k else 1.0) * w.shape[0] ** -0.5)
            if k == len(self.weights) - 1:
                break
            basis = nn.functional.silu(basis @ scaled)
        return basis, scaled
