"""What a model reads beside the graph: per-site fields, and numbers of a structure. Loads no torch."""

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


from typing import cast

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.vocabulary.errors import UsageError

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


def inputs_of(spec: ModelSpec) -> tuple[str, ...]:
    """Names of the numbers per structure that a model of ``spec`` reads."""
    head = cast(Head, registry().get("head", spec.head.name))
    return head.inputs(opt.make(head.options, spec.head.options, owner=f"head {head.name}"))


def take_from_cache(data: GraphDataset, names: tuple[str, ...]) -> dict[str, int]:
    """Let every batch of ``data`` hold the numbers ``names``, unless the graphs have them already.

    Returns:
        How many structures lack one, by name; it counts 0 there.

    Raises:
        UsageError: a label that is not one number per structure.
    """
    data.inputs = tuple(n for n in names if n not in data.field_names)
    missing = {}
    for name in data.inputs:
        column = data.columns.get(name)
        if column is None:
            missing[name] = len(data)
            continue
        q = column.quantity
        if q.level != "structure" or q.shape or q.classes:
            raise UsageError(f"label '{name}', which the model reads, is not one number per structure")
        missing[name] = int((~column.mask).sum())
    return {n: k for n, k in missing.items() if k}


def number(labels: Mapping[str, Any], keys: tuple[str, ...]) -> float | None:
    """The first of ``keys`` in ``labels`` that is one finite number."""
    for key in keys:
        value = labels.get(key)
        if value is not None and np.ndim(value) == 0 and np.isfinite(value):
            return float(value)
    return None


def at_all_sites(value: float, n_atoms: int) -> NDArray[np.float64]:
    """The field of a structure's number, (N,): the same at all its sites."""
    return np.full(n_atoms, value)
