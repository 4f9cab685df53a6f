"""What a :class:`crystalcli.contracts.records.Pretrained` makes of the file of others: parts by name, and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from crystalcli.contracts.records import Statistics
from crystalcli.vocabulary.quantities import Quantity

ChosenModel = tuple[str, Mapping[str, Any]]
"""A part by name, with the options that are not its defaults."""


@dataclass(frozen=True)
class Converted:
    """A model of our parts with the weights of another.

    Args:
        graph: featurizer, options that fix the edges. embedding: its ``embed_options``. architecture, head: parts.
        targets: what it predicts. statistics: of its training, as far as parts are built of them.
        weights: by name in the state of the model (``architecture.embed…``, ``features…``, ``head…``); all that is
            learned must be there, and what the parts fill in themselves may.
    """

    graph: ChosenModel
    embedding: Mapping[str, Any]
    architecture: ChosenModel
    head: ChosenModel
    targets: tuple[Quantity, ...]
    statistics: Statistics
    weights: Mapping[str, Tensor]
