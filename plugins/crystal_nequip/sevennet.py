"""SevenNet's checkpoints as models of the architecture ``nequip``.

Y. Park, J. Kim, S. Hwang, S. Han, J. Chem. Theory Comput. 20, 4857 (2024), doi:10.1021/acs.jctc.4c00190; package
``sevenn``. Its networks are NequIP with even features, self-connections without species, and a linear read-out; names,
order and signs of the weights are e3nn's. What differs:

- A map of scalars that also sees a one-hot word for the level of theory is one with a constant for the chosen level.
- Linear maps one after the other are one: the read-out of hidden numbers is put together.
- Elements begin as one-hot numbers: here a row of an element table of fixed width, with more columns than elements.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from crystal_nequip.architecture import channels_by_kind
from crystal_nequip.clebsch_gordan import coefficients
from crystal_nequip.layers import Gate, counts
from crystal_nequip.options import NequipOptions
from crystal_nequip.paths import Paths
from crystalcli.contracts.irreps import SCALAR, Irreps
from crystalcli.contracts.pretrained import Converted
from crystalcli.contracts.records import Statistics
from crystalcli.vocabulary.errors import InputError, UnsafeInput
from crystalcli.vocabulary.quantities import Quantity

TARGETS = (
    Quantity("energy", "eV", extensive=True),
    Quantity("forces", "eV/Å", "site", shape=(3,)),
    Quantity("stress", "eV/Å³", shape=(6,)),
)
N_ROWS, WIDTH = 119, 92
"""Of the element table of the featurizer."""
STRESS = 0.1
"""eV/Å³: what an error of the stress counts against where the model is trained on. In the loss of SevenNet-0 (Huber's
linear part, 1 an eV/Å and 0.01 a kbar) 0.108 eV/Å³ count as much as 1.73 eV/Å, its scale of the forces."""


def read(path: Path) -> dict[str, Any]:
    """A checkpoint, by torch's reader for weights alone; beside tensors it may hold numpy's arrays.

    Raises:
        UnsafeInput: it asks for anything else. InputError: damaged.
    """
    kinds = {type(np.dtype(t)) for t in (np.float32, np.float64, np.int64)}
    array = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    names = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")  # of numpy 1 and 2
    allowed: Any = [*((array, name) for name in names), np.ndarray, np.dtype, *kinds, codecs.encode]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of devices that are not here
            found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        named = re.search(r"GLOBAL ([\w.]+)", str(problem))
        if named:
            raise UnsafeInput(f"asks for more than numbers ({named[1]})", path=path) from problem
        raise InputError(f"is no checkpoint: {str(problem).splitlines()[0]}", path=path) from problem
    return found


def convert(path: Path, level: str = "") -> Converted:
    """The model of a checkpoint; of one with several levels of theory that of ``level``.

    Raises:
        UnsafeInput, InputError: see :func:`read`; or a network of another kind.
    """
    found = read(path)
    try:
        return Checkpoint(found["config"], found["model_state_dict"], level).converted()
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError) as problem:
        raise InputError(f"is no SevenNet of a known kind: {type(problem).__name__}: {problem}", path=path) from problem


class Checkpoint:
    """Configuration and weights of a checkpoint.

    Args:
        config, state: as in the file. level: word for the level of theory, where there are several.

    Raises:
        ValueError: a network of another kind.
    """

    def __init__(self, config: Mapping[str, Any], state: Mapping[str, Tensor], level: str) -> None:
        self.config, self.state = config, {k: v.double() for k, v in state.items()}
        wanted = {
            "is_parity": False,
            "interaction_type": "nequip",
            "self_connection_type": "linear",
            "readout_as_fcn": False,
            "use_bias_in_linear": False,
            "act_radial": "silu",
            "_normalize_sph": True,
        }
        for key, value in wanted.items():
            if config.get(key, value) != value:
                raise ValueError(f"{key} is {config[key]!r}, not {value!r}")
        if config["act_scalar"]["e"] != "silu" or config["act_gate"]["e"] != "silu":
            raise ValueError("scalars or gates are not SiLU")
        major, minor = map(int, str(config["version"]).split(".")[:2])
        if (major, minor) >= (0, 11):
            raise ValueError(f"version {config['version']} orders its weights otherwise")
        levels = dict(config.get("_modal_map") or {}) if config.get("use_modality") else {}
        if bool(levels) != bool(level) or (level and level not in levels):
            raise ValueError(f"levels of theory are {sorted(levels)}, asked for is '{level}'")
        self.level = levels[level] if level else None
        self.n_levels = len(levels)
        self.numbers = sorted(config["_type_map"], key=lambda z: int(config["_type_map"][z]))
        self.options = self._options()

    def converted(self) -> Converted:
        """The model."""
        c = self.config
        shift, scale = self.state["rescale_atomic_energy.shift"], self.state["rescale_atomic_energy.scale"]
        if self.level is not None and shift.dim() == 2:
            shift = shift[self.level]
        if float(scale.max() - scale.min()) != 0.0:
            raise ValueError("elements have scales of their own")
        weights = self._weights()
        by_number = dict(zip(self.numbers, shift.tolist(), strict=True))
        elements = tuple(sorted(by_number))
        statistics = Statistics(
            mean_neighbors=float(self.state["0_convolution.denominator"]) ** 2,
            elements=elements,
            target_scale={"forces": float(scale[0]), "stress": STRESS},
            references=tuple(by_number[z] for z in elements),
        )
        envelope = c["cutoff_function"]
        kind = {"poly_cut": "polynomial", "XPLOR": "xplor"}[envelope["cutoff_function_name"]]
        if (
            envelope.get("cutoff_on", 0.9 * c["cutoff"]) != 0.9 * c["cutoff"]
            or envelope.get("poly_cut_p_value", 6) != 6
        ):
            raise ValueError(f"cutoff function {envelope}")
        changed = {k: v for k, v in vars(self.options).items() if v != getattr(NequipOptions(), k)}
        return Converted(
            graph=("radius", {"cutoff": float(c["cutoff"])}),
            embedding={"atom_features": "learned", "envelope": kind},
            architecture=("nequip", changed),
            head=("energy", {"hidden": 0}),
            targets=TARGETS,
            statistics=statistics,
            weights=weights,
        )

    def _options(self) -> NequipOptions:
        c = self.config
        given = [Irreps.parse(str(i)) for i in c["irreps_manual"]]
        first, hidden = given[:2]
        channels = [t.count for t in hidden.terms]
        if first != Irreps.scalars(channels[0]) or given[-1] != first or any(g != hidden for g in given[1:-1]):
            raise ValueError(f"irreps {c['irreps_manual']}")
        widths = set(c["weight_nn_hidden_neurons"])
        if len(widths) != 1:
            raise ValueError(f"radial network of {c['weight_nn_hidden_neurons']}")
        return NequipOptions(
            n_layers=int(c["num_convolution_layer"]),
            l_max=len(channels) - 1,
            channels="-".join(map(str, channels)),
            parity="even",
            self_connection="linear",
            bessel=int(c["radial_basis"]["bessel_basis_num"]),
            trainable_bessel=True,
            basis_scale=float(c["cutoff"]) ** -2,
            radial_width=widths.pop(),
            radial_layers=len(c["weight_nn_hidden_neurons"]),
            bias=self.level is not None,
        )

    def _weights(self) -> dict[str, Tensor]:
        n = len(self.numbers)
        rows = torch.zeros(N_ROWS, WIDTH, dtype=torch.float64)
        rows[self.numbers, range(n)] = 1.0
        channels = channels_by_kind(self.options)
        embed = torch.zeros(WIDTH, channels[SCALAR], dtype=torch.float64)
        embed[:n] = self.state["onehot_to_feature_x.linear.weight"].view(n, -1) * (WIDTH / n) ** 0.5
        frequencies = self.state["edge_embedding.basis_function.coeffs"] * self.config["cutoff"]
        found = {
            "features.elements.rows.weight": rows,
            "architecture.embed.weights.0e": embed,
            "architecture.basis.frequencies": frequencies,
        }
        irreps = Irreps.scalars(channels[SCALAR])
        for k in range(self.options.n_layers):
            kinds = tuple(channels) if k < self.options.n_layers - 1 else (SCALAR,)
            paths = Paths(irreps, self.options.l_max, kinds, True)
            out = Irreps.parse("+".join(f"{channels[kind]}x{kind}" for kind in kinds))
            found |= {f"architecture.layers.{k}.{name}": v for name, v in self._layer(k, paths, out).items()}
            irreps = out
        hidden, constant = self._linear("reduce_input_to_hidden", irreps, {SCALAR: irreps.dim // 2})
        last, _ = self._linear("reduce_hidden_to_energy", Irreps.scalars(irreps.dim // 2), {SCALAR: 1}, levels=False)
        scales = irreps.dim**-0.5, (irreps.dim // 2) ** -0.5
        found["head.linear.weight"] = (hidden[SCALAR] @ last[SCALAR]).T * scales[0] * scales[1]
        found["head.linear.bias"] = (constant @ last[SCALAR]) * scales[1]
        return found

    def _layer(self, k: int, paths: Paths, out: Irreps) -> dict[str, Tensor]:
        gated = counts(Gate(out).into)
        before, constant = self._linear(f"{k}_self_interaction_1", paths.source, counts(paths.source))
        after, other = self._linear(f"{k}_self_interaction_2", paths.products, gated)
        keep, _ = self._linear(f"{k}_self_connection_intro", paths.source, gated, levels=False)
        found = {f"before.weights.{kind}": w for kind, w in before.items()}
        found |= {f"after.weights.{kind}": w for kind, w in after.items()}
        found |= {f"keep.weights.{kind}": w for kind, w in keep.items()}
        if self.options.bias:
            found |= {"before.bias": constant, "after.bias": other}
        layers = self.options.radial_layers
        found |= {f"radial.weights.{i}": self._radial(k, i) for i in range(layers)}
        found[f"radial.weights.{layers}"] = self._of_paths(k, paths, self._radial(k, layers))
        found["scale"] = 1.0 / self.state[f"{k}_convolution.denominator"][0]
        return found

    def _radial(self, k: int, layer: int) -> Tensor:
        return self.state[f"{k}_convolution.weight_nn.layer{layer}.weight"]

    def _of_paths(self, k: int, paths: Paths, w: Tensor) -> Tensor:
        """Last weights of the radial network: theirs by source, order and product; ours by order, then source.

        Coefficients of theirs may have the other sign: older versions of e3nn kept them in the file.
        """
        found, begin = torch.empty(w.shape[0], paths.n_weights, dtype=w.dtype), 0
        groups = {(g.source.start, g.order): g for g in paths.groups}
        for source, order, kind in paths.by_source:
            group, degree = groups[source.start, order], int(kind[:-1])
            place = group.weights + group.to.index(kind) * source.count
            one = w[:, begin : begin + source.count]
            key = f"{k}_convolution.convolution._compiled_main_left_right._w3j_{source.degree}_{order}_{degree}"
            if key in self.state:
                ours = coefficients(source.degree, order, degree)
                sign = 1.0 if float((self.state[key] * ours).sum()) > 0 else -1.0
                if float((self.state[key] - sign * ours).abs().max()) > 1e-6:
                    raise ValueError(f"coefficients {key} are no Clebsch–Gordan coefficients of real harmonics")
                one = sign * one
            found[:, place : place + source.count] = one
            begin += source.count
        if begin != w.shape[1]:
            raise ValueError(f"interaction {k} has {w.shape[1]} weights of an edge, {begin} are known")
        return found

    def _linear(
        self, name: str, into: Irreps, out: Mapping[str, int], *, levels: bool = True
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Weights of a linear map by kind, and what the level of theory adds to the scalars.

        e3nn divides by the root of all numbers that come in, those of the level included; we by that of the channels.
        """
        flat, begin = self.state[f"{name}.linear.weight"], 0
        more = self.n_levels if levels and self.level is not None else 0
        found: dict[str, Tensor] = {}
        for term in into.terms:
            if term.kind in out:
                size = term.count * out[term.kind]
                scale = (term.count / (term.count + more)) ** 0.5 if term.kind == SCALAR else 1.0
                found[term.kind] = scale * flat[begin : begin + size].view(term.count, -1)
                begin += size
        constant = torch.zeros(out[SCALAR], dtype=flat.dtype)
        if more:
            scalars = counts(into)[SCALAR]
            rows = flat[begin : begin + more * out[SCALAR]].view(more, -1)
            constant = rows[self.level] * (scalars + more) ** -0.5
            begin += more * out[SCALAR]
        if begin != len(flat):
            raise ValueError(f"{name} has {len(flat)} weights, {begin} are known")
        return found, constant
