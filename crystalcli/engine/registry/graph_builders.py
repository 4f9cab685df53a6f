"""Featurizers as they are asked: structure → graph, and what gives none is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ase

from crystalcli.contracts.records import Featurizer
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.vocabulary.errors import InputError, UsageError

CODE = "featurizer-error"
"""Of what a featurizer does wrong."""


def graph_builder(featurizer: Featurizer, options: Any) -> Callable[[ase.Atoms], GraphArrays]:
    """What ``featurizer`` builds with ``options``; the function raises InputError where it gives no GraphArrays.

    Raises:
        UsageError: it builds no function.
    """
    made: Any = featurizer.build(options)
    if not callable(made):
        raise UsageError(f"{called(featurizer.name)} builds a {type(made).__name__}, not a function of ase.Atoms")

    def graph_of(atoms: ase.Atoms) -> GraphArrays:
        found: Any = made(atoms)
        if not isinstance(found, GraphArrays):
            said = f"{called(featurizer.name)} gives a {type(found).__name__}, not GraphArrays"
            raise InputError(said, code=CODE)
        return found

    return graph_of


def called(name: str) -> str:
    """A featurizer with its plugin, as it is named where it is at fault."""
    return f"featurizer '{name}' of plugin {registry().origin('featurizer', name)}"
