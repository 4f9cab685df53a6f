"""Which of the things that a trained model predicts is the formation energy, and whether the model can decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crystalcli.engine.model.model_head import read_head
from crystalcli.engine.model.model_names import named_by
from crystalcli.screen.recipe import DIFFERENCE
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.thresholds import Threshold

FITTING = ("eV/atom", "")
"""Units of what can be a formation energy; the empty one is not said."""


def decider(model: str, target: str, threshold: Threshold, warn: Callable[[str], None]) -> tuple[Quantity, str]:
    """What a trained model predicts that can be a formation energy, and a note if the model says more.

    Args:
        model: file, run folder or name.
        target: what was chosen of it; empty: the only one there can be.
        threshold: how candidates are decided on.
        warn: told of a model without σ.

    Raises:
        UsageError: no such target, several that may be meant, differences, which are no energies, or a threshold in σ
            for a model that has none.
    """
    path = Path(model)
    head = read_head(named_by(path))
    targets = [Quantity.from_json(q) for q in head["spec"]["targets"]]
    quantity = _chosen(targets, target, path)
    if quantity.name == DIFFERENCE.name:
        raise UsageError("predicts what a stage of a campaign adds to its energies, no formation energies", path=path)
    if "members" not in head and quantity.name not in head.get("sigma", {}):
        warn("one model alone has no sigma of its own: only an energy threshold (50meV) means something")
        if threshold.kind == "sigma":
            raise UsageError(
                f"{threshold} needs an ensemble; train with --ensemble 5, calibrate the model, or give "
                "--threshold 50meV"
            )
    if target or len(targets) == 1:
        return quantity, ""
    others = ", ".join(q.name for q in targets if q is not quantity)
    return quantity, f"the formation energy is '{quantity.name}' of the model, which predicts {others} as well"


def _chosen(targets: list[Quantity], name: str, path: Path) -> Quantity:
    names = [q.name for q in targets]
    if name and name not in names:
        raise UsageError(f"predicts {', '.join(names)}, not '{name}' ({did_you_mean(name, names)})", path=path)
    if name:
        return targets[names.index(name)]
    able = [q for q in targets if not _why_none(q)]
    if len(able) > 1:
        listed = ", ".join(q.name for q in able)
        raise UsageError(f"predicts {listed}; choose the formation energy with --target NAME", path=path)
    if not able and len(targets) > 1:
        cure = "build the graphs with --targets KEY/atom"
        said = f"predicts {', '.join(names)}, and none can be a formation energy in eV/atom; {cure}"
        raise UsageError(said, path=path)
    return able[0] if able else targets[0]


def refuse_no_energy(quantity: Quantity) -> str:
    """What is odd about ``quantity`` as a formation energy per atom; a note for the user, or nothing.

    Raises:
        UsageError: it cannot be one.
    """
    if why := _why_none(quantity):
        raise UsageError(why)
    return "" if quantity.unit else f"'{quantity.name}' has no unit; taken as formation energies in eV/atom"


def _why_none(quantity: Quantity) -> str:
    """Why ``quantity`` can be no formation energy per atom; empty if it can."""
    if quantity.level != "structure" or quantity.classes or quantity.shape:
        return f"'{quantity.name}' is no energy per structure; a hull needs formation energies"
    if quantity.extensive or quantity.unit not in FITTING:
        said = "a total" if quantity.extensive else f"in {quantity.unit}"
        return f"'{quantity.name}' is {said}; a hull needs eV/atom (build the graphs with --targets KEY/atom)"
    return ""
