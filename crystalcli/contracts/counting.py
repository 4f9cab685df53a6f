"""How errors are counted: component by component, or as the length of a vector, in which unit, across cell borders."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from crystalcli.nouns.graph import CrystalGraph
from crystalcli.nouns.images import minimum_image
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Counted:
    """Errors of one quantity, label by label.

    Args:
        difference: (n, …) float64, predicted minus true in the quantity's unit, in the shape of a value; what stands
            where there is no label is not looked at. What is the same when a period is added (a lattice vector, 360°)
            differs by the nearest.
        by_norm: an error is the Euclidean length of a difference (its mean the mean distance), not every component.
        factor: what a difference is multiplied with to be reported, e.g. 180/π for angles that are learned in rad.
        unit: of what is reported, where ``factor`` is not 1.
    """

    difference: Tensor
    by_norm: bool = False
    factor: float = 1.0
    unit: str = ""


def count(quantity: Quantity, value: Tensor, true: Tensor, graph: CrystalGraph) -> Counted:
    """How the program counts where a head does not say otherwise: every component; positions by their distance.

    Args:
        quantity: what is compared.
        value: (n, …) float64, predicted.
        true: (n, …) float64.
        graph: the batch, in whose cells positions lie.
    """
    if quantity.meaning == "position":
        return Counted(minimum_image(graph, value - true), by_norm=True)
    return Counted(value - true)
