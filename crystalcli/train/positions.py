"""What a report says of predicted places: the model, no move at all, and the mean move, counted alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.counting import Counted
from crystalcli.engine.baselines import position_baselines
from crystalcli.engine.baselines.position_baselines import Atoms
from crystalcli.engine.evaluate import evaluation, metrics, position_errors
from crystalcli.engine.evaluate.evaluation import Collected
from crystalcli.train.setup import Prepared
from crystalcli.vocabulary.errors import CrystalError

Floats = NDArray[np.float64]

IDENTITY, MEAN_DISPLACEMENT = "identity", "mean displacement"
"""Baselines of positions: atoms stay where they are, or go along the normal as far as those like them in training."""


@dataclass(frozen=True)
class Places:
    """The test part of a target that is places.

    Args:
        atoms: where they start.
        near: (N, 3) Å, the labels nearest to the start.
        before, after: (N,) Å, distances to the labels at the start and as predicted.
        adsorbate: (N,) which atoms are an adsorbate's, or none where tags do not tell.
    """

    atoms: Atoms
    near: Floats
    before: Floats
    after: Floats
    adsorbate: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Beside:
    """Baselines by name, or why there is none; further errors of every row; errors by element."""

    baselines: dict[str, metrics.Errors | metrics.ClassErrors | str]
    more: dict[str, dict[str, float]]
    by_element: dict[str, dict[str, float | int]]


def places(prepared: Prepared, found: Collected) -> Places:
    """Where the atoms of the test part start, and how far from their labels they are."""
    atoms = position_baselines.atoms_of(prepared.data, prepared.split.test)
    near, _ = _nearest(prepared, prepared.split.test, found, atoms.start)
    before, after = position_errors.distances(atoms.start, near), position_errors.distances(found.value, found.true)
    return Places(atoms, near, before, after, position_errors.adsorbates(atoms.tags))


def beside(prepared: Prepared, found: Collected) -> Beside:
    """What stands beside the model's mean distance on the test part, of which some atom has a label."""
    at = places(prepared, found)
    known, counts = found.mask, at.atoms.counts
    baselines: dict[str, metrics.Errors | metrics.ClassErrors | str] = {}
    more = {"model": position_errors.more_errors(at.after, known, counts, at.adsorbate)}
    for name, move in ((IDENTITY, _none), (MEAN_DISPLACEMENT, _mean)):
        try:
            values = at.atoms.start + move(prepared, found, at.atoms)
        except CrystalError as problem:
            baselines[name] = problem.reason
            continue
        near, how = _nearest(prepared, prepared.split.test, found, values)
        baselines[name] = evaluation.compared(values[known], near[known], how)
        more[name] = position_errors.more_errors(position_errors.distances(values, near), known, counts, at.adsorbate)
    seen = frozenset(prepared.model.spec.statistics.elements)
    by_element = position_errors.by_element(at.atoms.numbers, at.before, at.after, known, seen)
    return Beside(baselines, more, by_element)


def more_of(prepared: Prepared, found: Collected) -> dict[str, float]:
    """Further errors of ``found``, predictions of the test part; none of what is not places."""
    if found.quantity.meaning != "position" or not found.mask.any():
        return {}
    at = places(prepared, found)
    return position_errors.more_errors(at.after, found.mask, at.atoms.counts, at.adsorbate)


def _none(_prepared: Prepared, _found: Collected, asked: Atoms) -> Floats:
    return np.zeros_like(asked.start)


def _mean(prepared: Prepared, found: Collected, asked: Atoms) -> Floats:
    data, index = prepared.data, prepared.split.train
    train = position_baselines.atoms_of(data, index)
    near, _ = _nearest(prepared, index, found, train.start)
    known = data.columns[found.quantity.name].mask[data.atoms_of(index)]
    return position_baselines.mean_displacements(train, near - train.start, known, asked)


def _nearest(
    prepared: Prepared, index: NDArray[np.int64], found: Collected, values: Floats
) -> tuple[Floats, Counted | None]:
    """Labels nearest to ``values``, and how errors are counted: as the model's."""
    return evaluation.nearest_labels(prepared.model, prepared.data, index, found.quantity, values)
