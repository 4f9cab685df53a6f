"""Which parts train, and which defaults follow from them; loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.contracts.request import Chosen, Request
from crystalcli.contracts.workflow_record import Choice, PartFlags, Word
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError

STEPS, SMALLEST_BATCH = 4, 4
"""Steps that an epoch should have; a batch is not made smaller than that for it."""
FAMILIES = {"arch": "architecture", "head": "head", "featurizer": "featurizer"}
"""Options that name a part."""
PLACES = {"arch": "architecture", "head": "head", "featurizer": "embedding"}
"""Where a model's spec says what they name."""


def choose(word: Word) -> Choice:
    """The parts of a command line, the flags that they bring and the defaults that they want."""
    reg = registry()
    origin = word("--from", None)
    if origin:
        return _of_model(Path(origin), word)
    arch = cast(Architecture, reg.get("architecture", word("--arch", None) or reg.default("architecture")))
    head = cast(Head, reg.get("head", word("--head", arch.head) or arch.head))
    featurizer = cast(Featurizer, reg.get("featurizer", word("--featurizer", arch.featurizer) or arch.featurizer))
    defaults = {"head": head.name, "featurizer": featurizer.name, **_defaults(arch, head)}
    return Choice(flags_of(featurizer, arch, head), defaults)


def flags_of(featurizer: Featurizer, arch: Architecture, head: Head) -> list[PartFlags]:
    """The flags of the three, with the defaults that the architecture wants of its partners."""
    wanted = arch.partner_options
    return [
        PartFlags(featurizer, featurizer.embed_options, wanted.get(featurizer.name, {})),
        PartFlags(arch, arch.options),
        PartFlags(head, head.options, wanted.get(head.name, {})),
    ]


def _of_model(path: Path, word: Word) -> Choice:
    """The parts of a trained model: fixed, but for a new head."""
    spec = spec_of(path)
    arch = cast(Architecture, registry().get("architecture", spec["architecture"]["name"]))
    name = word("--head", spec["head"]["name"]) or spec["head"]["name"]
    head = cast(Head, registry().get("head", name))
    recipe = _defaults(arch, head)
    del recipe["lr"]  # a learning curve has to know whether it was said
    defaults = {"arch": arch.name, "head": name, "featurizer": spec["graph"]["name"], **recipe}
    own = spec["head"]["options"] if name == spec["head"]["name"] else arch.partner_options.get(name, {})
    return Choice([PartFlags(head, head.options, own)], defaults)


def _defaults(arch: Architecture, head: Head) -> dict[str, Any]:
    """The recipe that suits; how large batches are is decided where the number of structures is known."""
    return {k: v for k, v in recipe_of(arch, head).items() if k != "batch_size"}


def recipe_of(arch: Architecture, head: Head) -> dict[str, Any]:
    """Settings that suit an architecture with a head, by option."""
    return {**asdict(arch.recipe), **head.recipe}


def spec_of(path: Path) -> dict[str, Any]:
    """What the model file, or that of the run folder, says of its parts."""
    from crystalcli.engine.model.model_head import read_head
    from crystalcli.engine.model.model_names import named_by

    spec: dict[str, Any] = read_head(named_by(path))["spec"]
    return spec


def architecture(request: Request) -> Architecture:
    """The architecture that is asked for, by name, as that of the model to start from, or as the default."""
    o = request.options
    name = o.arch or (spec_of(o.from_)["architecture"]["name"] if o.from_ else registry().default("architecture"))
    return cast(Architecture, registry().get("architecture", name))


def head(request: Request) -> Head:
    """The head that is asked for, that of the model to start from, or that of the architecture."""
    o = request.options
    kept = spec_of(o.from_)["head"]["name"] if o.from_ and not (o.head or o.new_head) else None
    return cast(Head, registry().get("head", o.head or kept or architecture(request).head))


def options_of(request: Request, option: str) -> Mapping[str, Any]:
    """Options of the part that ``option`` names."""
    return request.parts[option].options if option in request.parts else {}


def suited(request: Request, structures: int) -> int:
    """Structures per step that suit the parts, fewer where an epoch of so many structures would have few steps."""
    wished = int(recipe_of(architecture(request), head(request))["batch_size"])
    return min(wished, max(SMALLEST_BATCH, structures // STEPS))


def learning_rate(request: Request) -> float:
    """The learning rate that is asked for, else the one that suits the parts, gentler where a model is trained on."""
    asked: float | None = request.options.lr
    if asked is not None:
        return asked
    usual = float(recipe_of(architecture(request), head(request))["lr"])
    return usual if request.options.from_ is None else usual * architecture(request).gentler


def beside(request: Request) -> list[str]:
    """Architectures trained beside the model: those asked for, else what the head is measured by and can be built.

    Nothing beside a model that is trained on.
    """
    o = request.options
    if o.no_compare:
        return []
    if o.compare:
        return list(dict.fromkeys(o.compare))
    if o.from_ is not None:
        return []
    arch = architecture(request)
    offered = registry().parts
    gives = cast(Featurizer, registry().get("featurizer", o.featurizer or arch.featurizer)).provides
    named = [n for n in head(request).yardsticks if n != arch.name]
    return [n for n in named if ("architecture", n) in offered and registry().get("architecture", n).requires <= gives]


def refuse_other_parts(
    path: Path, parts: Mapping[str, Chosen], cures: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Refuse parts and options that a training from the model at ``path`` would not follow.

    Args:
        path: of the model.
        parts: what is asked for, by the option that names it.
        cures: what to do about it, likewise.

    Raises:
        UsageError: says which. InputError, UnsafeInput: no model there.
    """
    spec = spec_of(path)
    for option, asked in parts.items():
        there, cure = spec[PLACES[option]], cures.get(option, "")
        if asked.name != there["name"]:
            raise UsageError(f"has {FAMILIES[option]} {there['name']}, not {asked.name}{cure}", path=path)
        mine = {**_defaults_of(option, asked.name), **there["options"]}
        for name, value in asked.options.items():
            if name in mine and mine[name] != value:
                raise UsageError(f"was trained with {name} = {mine[name]}, not {value}{cure}", path=path)


def _defaults_of(option: str, name: str) -> dict[str, Any]:
    """Options of a part that a model made without saying them has."""
    part = registry().get(FAMILIES[option], name)
    return {s.name: s.default for s in opt.specs(part.embed_options if isinstance(part, Featurizer) else part.options)}


def refuse_beside_model(request: Request) -> None:
    """Refuse parts and options that are not those of the model to start from, unless it is to have a new head.

    Raises:
        UsageError: says which, and how there can be another head.
    """
    o = request.options
    if o.from_ is None:
        return
    names = {option: getattr(o, option) for option in FAMILIES if not (option == "head" and o.new_head)}
    asked = {option: Chosen(name, options_of(request, option)) for option, name in names.items() if name}
    refuse_other_parts(o.from_, asked, {"head": "; --new-head puts another in its place"})
