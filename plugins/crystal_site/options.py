"""Options of the parts of this package, with units, defaults and bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class SiteOptions:
    """Head ``site``."""

    hidden: int = option(128, "width of the fully connected layers", min=1, max=4096)
    n_hidden: int = option(2, "fully connected layers", min=1, max=20)
    positive: bool = option(False, "values that cannot be negative (moments, frequencies, electrons): softplus output")
    conserve: str = option("", "target whose values are shifted so that every crystal sums to --total, as charges do")
    total: str = option(
        "0", "what the values of --conserve sum to: a number, or the name of the label that says it of every crystal"
    )
    weigh: Literal["sites", "crystals"] = option(
        "sites", "in the loss every labelled site counts the same, or every crystal"
    )
    target_weights: str = option("", "weights of the targets in the loss, as in charge=1,moment=0.5; default 1 each")


def total_of(options: SiteOptions) -> float | str:
    """What the conserved values sum to: a number, or the name of what says it of every crystal.

    Raises:
        UsageError: a total that is not finite, or that nothing is to sum to.
    """
    try:
        number = float(options.total)
    except ValueError:
        if not options.conserve:
            raise UsageError(f"--total {options.total} goes with --conserve TARGET") from None
        return options.total
    if not math.isfinite(number):
        raise UsageError(f"--total {options.total} is no total")
    return number


@dataclass(frozen=True)
class NeighborhoodOptions:
    """Architecture ``neighborhood-mlp``."""

    neighbors: int = option(12, "nearest neighbors that the vector of a site lists", min=1, max=200)
    width: int = option(256, "width of the fully connected layers", min=1, max=4096)
    n_layers: int = option(2, "fully connected layers before those of the head", min=1, max=20)
