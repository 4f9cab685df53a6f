"""A small network of SevenNet's kind made of e3nn's modules, as its paper and configuration describe it."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


class SmallSevenNet:
    """Two interactions of even features; ``levels`` of theory or none. Weights by the names that checkpoints have."""

    def __init__(self, levels: tuple[str, ...] = ()) -> None:
        from e3nn import nn as enn
        from e3nn import o3

        torch.manual_seed(0)
        self.o3, self.levels = o3, levels
        self.types = {38: 0, 8: 1, 22: 2}
        irreps = ["6x0e", "6x0e+4x1e+2x2e", "6x0e"]
        more = f"+{len(levels)}x0e" if levels else ""
        self.config: dict[str, Any] = {
            "version": "0.9.4",
            "is_parity": False,
            "interaction_type": "nequip",
            "self_connection_type": "linear",
            "readout_as_fcn": False,
            "use_bias_in_linear": False,
            "act_radial": "silu",
            "_normalize_sph": True,
            "act_scalar": {"e": "silu", "o": "tanh"},
            "act_gate": {"e": "silu", "o": "tanh"},
            "_type_map": self.types,
            "irreps_manual": irreps,
            "num_convolution_layer": 2,
            "weight_nn_hidden_neurons": [8, 8],
            "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 5},
            "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.6},
            "cutoff": 4.0,
            "use_modality": bool(levels),
            "_modal_map": {k: n for n, k in enumerate(levels)},
        }
        self.coeffs = torch.arange(1, 6) * math.pi / 4.0 + 0.1 * torch.rand(5)
        self.embed = o3.Linear("3x0e", irreps[0])
        self.layers = []
        sh = o3.Irreps("1x0e+1x1e+1x2e")
        for into, out in pairwise(irreps):
            x, kept = o3.Irreps(into), o3.Irreps(out)
            gated = o3.Irreps([(n, ir) for n, ir in kept if ir.l])
            scalars = o3.Irreps([(n, ir) for n, ir in kept if not ir.l])
            gates = o3.Irreps([(n, "0e") for n, _ in gated])
            silu = torch.nn.functional.silu
            gate = enn.Gate(scalars, [silu], gates, [silu] * len(gates), gated)
            middle, instructions = [], []
            for i, (n, ir) in enumerate(x):
                for j, (_, ir_y) in enumerate(sh):
                    for ir_out in ir * ir_y:
                        if ir_out.l <= kept.lmax:
                            instructions.append((i, j, len(middle), "uvu", True))
                            middle.append((n, ir_out))
            order = o3.Irreps(middle).sort()
            instructions = [(i, j, order.p[k], *rest) for i, j, k, *rest in instructions]
            product = o3.TensorProduct(x, sh, order.irreps, instructions, shared_weights=False, internal_weights=False)
            radial = enn.FullyConnectedNet([5, 8, 8, product.weight_numel], silu)
            self.layers.append(
                {
                    "self_connection_intro": o3.Linear(x, gate.irreps_in),
                    "self_interaction_1": o3.Linear(f"{x}{more}", x),
                    "convolution": product,
                    "radial": radial,
                    "self_interaction_2": o3.Linear(f"{order.irreps.simplify()}{more}", gate.irreps_in),
                    "gate": gate,
                }
            )
        self.hidden, self.last = o3.Linear(f"6x0e{more}", "3x0e"), o3.Linear("3x0e", "1x0e")
        self.shift, self.scale = torch.randn(max(len(levels), 1), 3), 1.7

    def state(self) -> dict[str, Tensor]:
        """As in a checkpoint; the coefficients of one product have the other sign, and its weights with them."""
        named = {"onehot_to_feature_x": self.embed, "reduce_input_to_hidden": self.hidden}
        named["reduce_hidden_to_energy"] = self.last
        found = {"edge_embedding.basis_function.coeffs": self.coeffs}
        for k, layer in enumerate(self.layers):
            named |= {f"{k}_{n}": m for n, m in layer.items() if n.startswith("self")}
            found[f"{k}_convolution.denominator"] = torch.tensor([2.5])
            for i in range(3):
                weight = getattr(layer["radial"], f"layer{i}").weight.detach().clone()
                found[f"{k}_convolution.weight_nn.layer{i}.weight"] = weight
        # interaction 1: paths 000 | 1: 101, 110, 111, 112, 121, 122 …; 111 comes after 6 · 1 + 4 · 2 weights
        w = found["1_convolution.weight_nn.layer2.weight"]
        assert w.shape[1] == 6 + 4 + 2  # its products are scalars alone
        key = "1_convolution.convolution._compiled_main_left_right._w3j_1_1_0"
        w[:, 6:10] *= -1
        found[key] = -self.o3.wigner_3j(1, 1, 0)
        found |= {f"{n}.linear.weight": m.weight.detach().clone() for n, m in named.items()}
        found["rescale_atomic_energy.shift"] = self.shift if self.levels else self.shift[0]
        found["rescale_atomic_energy.scale"] = torch.full((3,), self.scale)
        return found

    def energy(self, numbers: Tensor, edges: Tensor, vectors: Tensor, level: str = "") -> float:
        """Of one crystal, in double precision."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            return self._energy(numbers, edges, vectors, self.levels.index(level) if level else 0)
        finally:
            torch.set_default_dtype(before)

    def _energy(self, numbers: Tensor, edges: Tensor, vectors: Tensor, level: int) -> float:
        r = vectors.norm(dim=1)
        y = self.o3.spherical_harmonics([0, 1, 2], vectors, True, "component")
        off, on = 4.0**2, 3.6**2
        switch = (off - r**2) ** 2 * (off + 2 * r**2 - 3 * on) / (off - on) ** 3
        switch = torch.where(r < 3.6, 1.0, switch)[:, None]
        basis = 2 / 4.0 * torch.sin(self.coeffs.double() * r[:, None]) / r[:, None] * switch
        species = torch.tensor([self.types[int(z)] for z in numbers])
        one_hot = torch.nn.functional.one_hot(species, 3).double()
        word = torch.zeros(len(numbers), len(self.levels))
        word[:, level : level + 1] = 1.0
        h = self.embed.double()(one_hot)
        for layer in self.layers:
            kept = layer["self_connection_intro"].double()(h)
            x = layer["self_interaction_1"].double()(torch.cat([h, word], 1))
            message = layer["convolution"].double()(x[edges[1]], y, layer["radial"].double()(basis))
            summed = torch.zeros(len(h), message.shape[1]).index_add(0, edges[0], message) / 2.5
            h = layer["gate"].double()(kept + layer["self_interaction_2"].double()(torch.cat([summed, word], 1)))
        e = self.last.double()(self.hidden.double()(torch.cat([h, word], 1))) * float(torch.tensor(self.scale))
        return float((e[:, 0] + self.shift[level].double()[species]).sum().detach())
