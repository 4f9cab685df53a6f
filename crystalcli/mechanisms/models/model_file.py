"""One model or ensemble, one file: safetensors with all metadata as canonical JSON under one key. No pickle anywhere.

Tensors hold weights, element tables, normalisers and baselines; the metadata holds what to build (parts with their
options, targets with their units, statistics), which plugins are needed, and provenance. Reading a file runs nothing
in it: everything is checked before a tensor is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from crystalcli.contracts.element_tables import tables_of
from crystalcli.mechanisms.models.ensemble import Ensemble
from crystalcli.mechanisms.models.familiarity import PREFIX, Familiarity
from crystalcli.mechanisms.models.model import CrystalModel
from crystalcli.mechanisms.models.model_head import FORMAT, KEY, VERSION, read_head
from crystalcli.mechanisms.models.model_parts import part_names
from crystalcli.mechanisms.models.model_spec import ModelSpec
from crystalcli.mechanisms.models.sigma_fit import SigmaFit
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running import files
from crystalcli.vocabulary.errors import CrystalError, InputError

AnyModel = CrystalModel | Ensemble


def save(path: Path, model: AnyModel, provenance: Mapping[str, Any]) -> None:
    """Write ``model``; equal models and provenance give equal bytes."""
    files.write_bytes(path, to_bytes(model, provenance))


def to_bytes(model: AnyModel, provenance: Mapping[str, Any]) -> bytes:
    """The file of ``model``."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "spec": model.spec.to_json(),
        "element_tables": element_axes(model),
        "plugins": registry().requirements(part_names(model.spec)),
        "provenance": dict(provenance),
    }
    if isinstance(model, Ensemble):
        head |= {"members": [m.spec.to_json() for m in model.models], "aleatoric": model.aleatoric}
    if model.sigma_fits:
        head["sigma"] = {name: fit.to_json() for name, fit in model.sigma_fits.items()}
    text = json.dumps(_plain(head), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    state = model.state_dict() | (model.familiarity.tensors() if model.familiarity else {})
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in sorted(state.items())}
    return safetensors.torch.save(tensors, {KEY: text})


def load(path: Path) -> tuple[AnyModel, dict[str, Any]]:
    """Build the model or ensemble of ``path`` and load its weights; returns it in evaluation mode with its provenance.

    Raises:
        UsageError, InputError, UnsafeInput: as :func:`read_head`, or a plugin is missing, or the weights are damaged.
    """
    head = read_head(path)
    tensors = _tensors(path)
    try:
        specs = [ModelSpec.from_json(s) for s in head.get("members", [head["spec"]])]
        for family, name in dict.fromkeys(n for s in specs for n in part_names(s)):
            registry().needed(head["plugins"], family, name)
        with torch.random.fork_rng(devices=[]):
            members = [CrystalModel(s) for s in specs]
    except CrystalError as problem:
        raise type(problem)(problem.reason, path=path) from problem
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"damaged model: {_short(problem)}", path=path) from problem
    whole: torch.nn.Module = torch.nn.ModuleDict({"members": torch.nn.ModuleList(members)})
    if "members" not in head:
        whole = members[0]
    kept = {k: tensors.pop(k) for k in [k for k in tensors if k.startswith(PREFIX)]}
    _check_tables(head, whole, path)
    _check(tensors, whole.state_dict(), path)
    whole.load_state_dict(tensors, strict=True)
    whole.eval()
    try:
        model: AnyModel = members[0]
        if "members" in head:
            model = Ensemble(members, {str(k): float(v) for k, v in head["aleatoric"].items()}).eval()
        model.sigma_fits = {name: SigmaFit.from_json(fit) for name, fit in head.get("sigma", {}).items()}
        model.familiarity = Familiarity.of_tensors(kept) if kept else None
        return model, dict(head["provenance"])
    except CrystalError as problem:
        raise type(problem)(problem.reason, path=path) from problem
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise InputError(f"damaged model: {_short(problem)}", path=path) from problem


def element_axes(model: torch.nn.Module) -> dict[str, list[int]]:
    """Axes that count the elements of the model's statistics, in their order, by name of the tensor."""
    return {name: list(table.axes) for name, table in tables_of(model).items() if not table.by_number}


def _check_tables(head: Mapping[str, Any], model: torch.nn.Module, path: Path) -> None:
    """Refuse rows of elements that the plugins here have elsewhere."""
    said, here = head.get("element_tables"), element_axes(model)
    if said != here:
        raise InputError(
            f"its tables by element are {said}, those of the plugins here {here}; another version of a plugin made it",
            path=path,
        )


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(path.read_bytes())
    except (SafetensorError, ValueError, KeyError, RuntimeError) as problem:
        raise InputError(f"damaged model: {_short(problem)}", path=path) from problem
    except OSError as problem:
        raise files.environment_problem(problem, path) from problem


def _check(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are missing, too many, of another shape or type, or not finite."""
    if missing := sorted(expected.keys() - found.keys()):
        raise InputError(f"damaged model: without tensor '{missing[0]}' ({len(missing)} missing)", path=path)
    if extra := sorted(found.keys() - expected.keys()):
        raise InputError(f"damaged model: unexpected tensor '{extra[0]}' ({len(extra)} too many)", path=path)
    for name, value in found.items():
        want = expected[name]
        if value.shape != want.shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(want.shape)}"
            raise InputError(f"damaged model: tensor '{name}' is {shapes}", path=path)
        if value.is_floating_point() != want.is_floating_point():
            raise InputError(f"damaged model: tensor '{name}' is {value.dtype}, expected {want.dtype}", path=path)
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"damaged model: tensor '{name}' has numbers that are not finite", path=path)


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _short(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"
