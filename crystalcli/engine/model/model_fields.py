"""Per-site fields that the parts of a model read, and how graphs must be made for it. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.model.model_head import named_by_file, read_head
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.structures.site_fields import canonical

if TYPE_CHECKING:
    from crystalcli.engine.model.model_spec import ModelSpec

PARTS = (("featurizer", "embedding"), ("architecture", "architecture"), ("head", "head"))
"""Family of a part that may read fields, and its place in a :class:`ModelSpec`."""


def fields_read(choices: Iterable[tuple[str, str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Fields that parts with these options read, by (family, name, options); of a featurizer, those of ``embed``.

    Raises:
        UsageError: a part that is not installed, an option that it does not have, or one field with two widths.
    """
    found: list[str] = []
    for family, name, options in choices:
        part = registry().get(family, name)
        assert isinstance(part, Featurizer | Architecture | Head)
        model = part.embed_options if isinstance(part, Featurizer) else part.options
        found += part.fields(opt.make(model, options, owner=f"{family} {name}"))
    return canonical(found)


def fields_of(spec: ModelSpec) -> tuple[str, ...]:
    """Fields that a model of ``spec`` reads."""
    chosen = [(family, getattr(spec, place)) for family, place in PARTS]
    return fields_read((family, c.name, c.options) for family, c in chosen)


def recipe_of_model(spec: ModelSpec) -> GraphRecipe:
    """How graphs must be made for a model of ``spec``."""
    return GraphRecipe(spec.graph.name, spec.graph.options, fields_of(spec))


def build_words(recipe: GraphRecipe) -> str:
    """The command that builds such graphs, without its files: what differs from the featurizer's defaults."""
    part = registry().get("featurizer", recipe.featurizer)
    assert isinstance(part, Featurizer)
    words = [f"crystal build-graphs … --featurizer {recipe.featurizer}"]
    for spec in opt.specs(part.options):
        value = recipe.options.get(spec.name, spec.default)
        if value != spec.default:
            negated = f"--no-{spec.flag}" if value is False else f"--{spec.flag}"
            words.append(negated if isinstance(value, bool) else f"--{spec.flag} {value}")
    if recipe.fields:
        words.append(f"--fields {','.join(recipe.fields)}")
    return " ".join(words)


def recipe_of_file(path: Path) -> GraphRecipe:
    """As :func:`recipe_of_model`, of a model file, whose weights are not read.

    Raises:
        UsageError: a plugin that made it is missing or too old, or has other options now. InputError, UnsafeInput: as
            :func:`crystalcli.engine.model.model_head.read_head`.
    """
    head = read_head(path)
    spec = head["spec"]
    with named_by_file(path):
        for family, place in PARTS:
            registry().needed(head["plugins"], family, spec[place]["name"])
        fields = fields_read((family, spec[place]["name"], spec[place]["options"]) for family, place in PARTS)
    return GraphRecipe(spec["graph"]["name"], spec["graph"]["options"], fields)
