"""Numbers of a structure that a model reads beside its graph: which, from files and from caches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Head
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model.model_spec import ModelSpec
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError


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
