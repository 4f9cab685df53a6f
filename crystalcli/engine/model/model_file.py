"""One model or ensemble, one file: safetensors with all metadata as canonical JSON under one key. No pickle anywhere.

Tensors hold weights, element tables, normalisers and baselines; the metadata holds what to build (parts with their
options, targets with their units, statistics), which plugins are needed, and provenance. Reading a file runs nothing
in it: everything is checked before a tensor is used, and the model proves itself before it is handed out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy

from crystalcli.contracts.element_tables import tables_of
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.fewer_targets import narrowed
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_head import (
    FORMAT,
    KEY,
    SEAL,
    VERSION,
    View,
    named_by_file,
    read_head,
    seal_of,
    short,
)
from crystalcli.engine.model.model_parts import part_names
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.model.out_of_domain import PREFIX as FAMILIARITY
from crystalcli.engine.model.out_of_domain import OutOfDomain
from crystalcli.engine.model.proof import PREFIX as PROOF
from crystalcli.engine.model.proof import AnyModel, Difference, Proof
from crystalcli.engine.model.sigma_fit import SigmaFit
from crystalcli.engine.registry.at_fault import CODE, at_fault
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files
from crystalcli.engine.run.devices import circumstances
from crystalcli.vocabulary.errors import CrystalError, InputError, NumericalFailure, PluginFault

__all__ = ["AnyModel", "load", "save", "to_bytes"]

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError)
"""What parts raise that are built, or asked, with numbers that cannot be."""
DAMAGED = "damaged model"
OTHER_TENSORS = "other-tensors"
"""Code of an error about weights that the parts here do not have, or have otherwise."""
SMALL = 1_000_000
"""Numbers that any file may make us hold, so that what it lacks can be named."""


def save(path: Path, model: AnyModel, provenance: Mapping[str, Any]) -> None:
    """Write ``model``; equal models and provenance give equal bytes on one machine with one number of threads."""
    files.write_bytes(path, to_bytes(model, provenance))


def to_bytes(model: AnyModel, provenance: Mapping[str, Any]) -> bytes:
    """The file of ``model``."""
    state = (
        model.state_dict() | (model.out_of_domain.tensors() if model.out_of_domain else {}) | Proof.of(model).tensors()
    )
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in sorted(state.items())}
    head = {
        "format": FORMAT,
        "version": VERSION,
        "spec": model.spec.to_json(),
        "element_tables": element_axes(model),
        "plugins": registry().requirements(part_names(model.spec)),
        "provenance": dict(provenance),
        "made": circumstances(),
        "sha256": _hash(tensors),
    }
    if isinstance(model, Ensemble):
        head |= {"members": [m.spec.to_json() for m in model.models], "aleatoric": model.aleatoric}
    if model.sigma_fits:
        head["sigma"] = {name: fit.to_json() for name, fit in model.sigma_fits.items()}
    head = _plain(head)
    head[SEAL] = seal_of(head)
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return safetensors.torch.save(tensors, {KEY: text})


def load(path: Path) -> tuple[AnyModel, dict[str, Any]]:
    """Build the model or ensemble of ``path`` and load its weights; returns it in evaluation mode with its provenance.

    It is asked about the crystals that the file keeps, and must say what it said when it was saved.

    Raises:
        UsageError, InputError, UnsafeInput: as :func:`read_head`, or a plugin is missing or fails, or the weights are
            damaged.
        NumericalFailure: it says something else than when it was saved.
    """
    if path.suffix == ".json" and path.is_file():
        view = View.read(path)
        model, provenance = load(view.file)
        with named_by_file(path):
            return narrowed(model, view.targets), provenance
    head = read_head(path)
    tensors = _tensors(path)
    sound = head.get("sha256") == _hash(tensors)
    try:
        with named_by_file(path):
            model = _assembled(head, tensors, path)
            proof = Proof.of_tensors({k: tensors[k] for k in tensors if k.startswith(PROOF)})
            model.witnesses = proof.graph
            difference = proof.difference(model)
    except CrystalError as problem:
        if sound and problem.code == OTHER_TENSORS:  # nothing is damaged: the parts here want other weights
            why = problem.reason.removeprefix(DAMAGED)
            raise InputError(f"another version of crystal or of a plugin made it{why}", path=path) from problem
        raise
    except Exception as problem:
        raise _refused(problem, path, sound=sound) from problem
    if difference is not None:
        raise NumericalFailure(_why(difference, head, model, sound=sound), path=path, code="proof")
    if not sound:
        raise InputError("damaged model: its tensors are not those that were saved", path=path)
    return model, dict(head["provenance"])


def _refused(problem: Exception, path: Path, *, sound: bool) -> Exception:
    """What is said of an error of the parts that are built and asked: whose it is."""
    plugin = at_fault(problem)
    if plugin is not None and not plugin.builtin:
        but = "" if sound else "; the file's tensors are not those that were saved, too"
        return PluginFault(f"plugin {plugin.name} fails on this model: {short(problem)}{but}", path=path, code=CODE)
    return InputError(f"damaged model: {short(problem)}", path=path) if isinstance(problem, _DAMAGE) else problem


def _assembled(head: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path) -> AnyModel:
    """The model that ``head`` describes with its weights; every member is compared with ``tensors`` as it is built."""
    named = {k: v for k, v in tensors.items() if not k.startswith((FAMILIARITY, PROOF))}
    whole = "members" not in head
    described = [head["spec"]] if whole else head["members"]
    members = []
    with torch.random.fork_rng(devices=[]):
        for k, one in enumerate(described):
            prefix = "" if whole else f"members.{k}."
            own = {n.removeprefix(prefix): named.pop(n) for n in [n for n in named if n.startswith(prefix)]}
            members.append(_member(ModelSpec.from_json(one), head["plugins"], own, prefix, path))
    if named:
        raise InputError(f"damaged model: unexpected tensor '{min(named)}' ({len(named)} too many)", path=path)
    model: AnyModel = members[0]
    if not whole:
        model = Ensemble(members, {str(k): float(v) for k, v in head["aleatoric"].items()}).eval()
    model.sigma_fits = {name: SigmaFit.from_json(fit) for name, fit in head.get("sigma", {}).items()}
    _check_tables(head, model, path)
    kept = {k: v for k, v in tensors.items() if k.startswith(FAMILIARITY)}
    model.out_of_domain = OutOfDomain.of_tensors(kept) if kept else None
    return model


def _member(
    spec: ModelSpec, plugins: Mapping[str, str], tensors: Mapping[str, Tensor], prefix: str, path: Path
) -> CrystalModel:
    """A model of ``spec`` with ``tensors``; ``prefix`` says which of a file they are."""
    for family, name in part_names(spec):
        registry().needed(plugins, family, name)
    with no_more_numbers_than(2 * sum(t.numel() for t in tensors.values()) + SMALL):
        model = CrystalModel(spec)
    _check(tensors, model.state_dict(), prefix, path)
    model.load_state_dict(tensors, strict=True)
    return model.eval()


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
        raise InputError(f"damaged model: {short(problem)}", path=path) from problem
    except OSError as problem:
        raise files.environment_problem(problem, path) from problem


def _check(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], prefix: str, path: Path) -> None:
    """Refuse tensors that are missing, too many, of another shape or type, or not finite."""
    if missing := sorted(expected.keys() - found.keys()):
        said = f"{DAMAGED}: without tensor '{prefix}{missing[0]}' ({len(missing)} missing)"
        raise InputError(said, path=path, code=OTHER_TENSORS)
    if extra := sorted(found.keys() - expected.keys()):
        said = f"{DAMAGED}: unexpected tensor '{prefix}{extra[0]}' ({len(extra)} too many)"
        raise InputError(said, path=path, code=OTHER_TENSORS)
    for name, value in found.items():
        want, said = expected[name], f"{DAMAGED}: tensor '{prefix}{name}'"
        if value.shape != want.shape:
            wrong = f"{said} is {tuple(value.shape)}, expected {tuple(want.shape)}"
            raise InputError(wrong, path=path, code=OTHER_TENSORS)
        if value.is_floating_point() != want.is_floating_point():
            raise InputError(f"{said} is {value.dtype}, expected {want.dtype}", path=path)
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{said} has numbers that are not finite", path=path)


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Of names, types, shapes and numbers."""
    whole = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        whole.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        whole.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()


def _why(difference: Difference, head: Mapping[str, Any], model: AnyModel, *, sound: bool) -> str:
    """One line: what is otherwise, and what may be the cause."""
    targets = {q.name: q.unit for q in model.spec.targets}
    size = f"{difference.size:.2g} {targets.get(difference.quantity, '')}".rstrip()
    said = f"does not say what it said when it was saved: {difference.quantity} of its test crystals is {size} off; "
    if not sound:
        return said + "its weights were changed since"
    here = circumstances() | registry().requirements(part_names(model.spec))
    then = dict(head.get("made", {})) | dict(head["plugins"])
    other = [f"{name} {then.get(name)} (here {now})" for name, now in here.items() if then.get(name) != now]
    if not other:
        return said + "versions and processor are those that made it: a part was changed; train it again"
    return said + f"made with {', '.join(other)}; use it there, or train it again here"


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@contextmanager
def no_more_numbers_than(most: int) -> Iterator[None]:
    """Refuse modules that are built here as soon as their weights and buffers hold more than ``most`` numbers.

    A model is built with random weights before those of its file are put in: no more of them than the file has.
    Layers register their weights before they fill them, and memory that is not filled costs nothing: a small file
    cannot make us hold what only its options ask for.

    Raises:
        InputError: they hold more.
    """
    held = 0

    def count(_module: nn.Module, _name: str, value: Tensor | None) -> None:
        nonlocal held
        if value is not None and not is_lazy(value):
            held += value.numel()
        if held > most:
            raise InputError("damaged model: its options ask for more weights than the file has")

    handles = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
