"""Trained models of others by name: found, checked, made into model files of ours, kept in the user's folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from crystalcli.contracts.records import Pretrained
from crystalcli.engine.model.model_head import VERSION, read_head
from crystalcli.engine.registry.at_fault import fault_of
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.models_folder import models_folder
from crystalcli.engine.run.run_folder import sha256
from crystalcli.vocabulary.errors import CrystalError, EnvironmentProblem, InputError, UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity

if TYPE_CHECKING:
    from crystalcli.contracts.pretrained import Converted
    from crystalcli.engine.model.model import CrystalModel


_for_now: list[Path] = []
"""Where models are made while nothing may be kept."""


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Models that are not there yet are made in a folder that goes with the context: a plan writes nothing."""
    with TemporaryDirectory(prefix="crystal-models-") as there:
        _for_now.append(Path(there))
        try:
            yield
        finally:
            _for_now.pop()


def names() -> list[str]:
    """Of all models that plugins offer."""
    return registry().names("pretrained")


def record(name: str) -> Pretrained:
    """The model called ``name``.

    Raises:
        UsageError: none; says what is near.
    """
    if name not in names():
        raise UsageError(f"no pretrained model '{name}'; {did_you_mean(name, names())}{registry().broken_hint()}")
    return cast(Pretrained, registry().get("pretrained", name))


def file_for(name: str) -> Path:
    """Where the model file of ``name`` is once it is imported; other weights, or another format, have another place."""
    word = f"{name.replace(':', '_')}-{record(name).sha256[:8]}-v{VERSION}.safetensors"
    kept = models_folder() / word
    return kept if kept.is_file() or not _for_now else _for_now[-1] / word


def named(word: str) -> Path:
    """The model file that a word means, imported if need be.

    Raises:
        UsageError: no model is called so, or its package is not installed; says what to type.
        InputError, UnsafeInput, EnvironmentProblem: as :func:`imported`.
    """
    file = file_for(word)
    if file.is_file():
        if (fault := fault_of_file(file)) is not None:
            raise type(fault)(f"{fault.reason}; crystal models import {word} makes it again", path=file)
        return file
    return imported(word)


def fault_of_file(file: Path) -> CrystalError | None:
    """What is wrong with an imported model, by its beginning and its length; that it is whole it proves when loaded."""
    try:
        read_head(file)
    except CrystalError as problem:
        return problem
    return None


def imported(name: str, given: Path | None = None) -> Path:
    """Make the model file of ``name`` from the package that has it, or from the file that is ``given``.

    Raises:
        UsageError: the package is not installed, or there is no such file.
        InputError: another file than the known one, or one that cannot be. UnsafeInput: one that would run something.
        EnvironmentProblem: the user's folder cannot be written to.
    """
    part = record(name)
    path = _source(part) if given is None else given
    if not path.is_file():
        raise UsageError(f"no such file; {part.install} brings that of {name}", path=path)
    if (found := sha256(path)) != part.sha256:
        raise InputError(f"is not the file of {name}: its sha256 is {found}, not {part.sha256}", path=path)
    from crystalcli.engine.model import model_file

    model = build(_converted(part, path), name)
    file = file_for(name)
    try:
        model_file.save(file, model, provenance(part))
    except EnvironmentProblem as problem:
        raise EnvironmentProblem(f"{problem.reason}; XDG_DATA_HOME names another folder", path=file) from problem
    return file


def _converted(part: Pretrained, path: Path) -> Converted:
    """What its plugin makes of the file.

    Raises:
        PluginFault: something else than was agreed.
    """
    from crystalcli.contracts.pretrained import Converted

    made: Any = part.convert(path)
    if not isinstance(made, Converted):
        raise fault_of("pretrained", part.name, f"converts to a {type(made).__name__}, not Converted")
    if not isinstance(made.targets, tuple) or not all(isinstance(t, Quantity) for t in made.targets):
        raise fault_of("pretrained", part.name, "converts to targets that are no tuple of Quantity")
    return made


def provenance(part: Pretrained) -> dict[str, Any]:
    """What a model file says of its origin."""
    return {
        "pretrained": part.name,
        "source": {"package": part.package, "file": part.file, "sha256": part.sha256},
        "licence": part.licence,
        "level": part.level,
        "references": list(part.references),
    }


def build(converted: Converted, name: str) -> CrystalModel:
    """The model, in evaluation mode; in double precision where its weights are.

    Raises:
        InputError: weights that are missing, too many, or of another shape.
    """
    from crystalcli.engine.model.model import CrystalModel
    from crystalcli.engine.model.model_spec import ModelSpec, PartChoice

    spec = ModelSpec(
        PartChoice(*converted.graph),
        PartChoice(converted.graph[0], converted.embedding),
        PartChoice(*converted.architecture),
        PartChoice(*converted.head),
        converted.targets,
        converted.statistics,
    )
    model = CrystalModel(spec)
    state, learned = model.state_dict(), dict(model.named_parameters())
    said = f"the weights of {name} do not fit: "
    if missing := sorted(learned.keys() - converted.weights.keys()):
        raise InputError(f"{said}without '{missing[0]}' ({len(missing)} missing)")
    for key, value in converted.weights.items():
        if key not in state or state[key].shape != value.shape:
            there = tuple(state[key].shape) if key in state else "no such tensor"
            raise InputError(f"{said}'{key}' is {tuple(value.shape)}, expected {there}")
    model.load_state_dict(state | dict(converted.weights))
    return model.eval()


def _source(part: Pretrained) -> Path:
    """The file in the installed package, which is not imported for it.

    Raises:
        UsageError: not installed; says what to type.
    """
    try:
        spec = importlib.util.find_spec(part.package)
    except ModuleNotFoundError:  # what a package with a dot lies in is not installed
        spec = None
    places = (spec.submodule_search_locations if spec is not None else None) or []
    for place in places:
        if (path := Path(place) / part.file).is_file():
            return path
    raise UsageError(
        f"{part.name} comes with the package {part.package}, which "
        + ("does not have its file here" if places else "is not installed")
        + f"; {part.install}, or give the file: crystal models import {part.name} --file FILE"
    )
