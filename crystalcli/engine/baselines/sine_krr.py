"""Baseline ``krr``: kernel ridge regression on sine Coulomb matrices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.contracts.options import option
from crystalcli.engine.baselines import kernel_ridge, sine_matrix
from crystalcli.engine.baselines.baselines import parts
from crystalcli.engine.baselines.guess import Guess
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import InputError, UsageError

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

MOST = 8000
"""Structures that a kernel is made of; its matrix takes 0.5 GB."""
MOST_NUMBERS = 100_000_000
"""Numbers of all sine matrices together, 0.8 GB."""


@dataclass(frozen=True)
class KrrOptions:
    """Kernel ridge regression on sine Coulomb matrices."""

    kernel: Literal["laplacian", "gaussian"] = option("laplacian", "of distances between matrices")
    matrix: Literal["rows", "eigenvalues"] = option("rows", "ordered rows of the matrix, or its eigenvalues")
    length_unit: Literal["bohr", "angstrom"] = option("bohr", "unit of lengths in the matrix")


def predict(options: KrrOptions, data: GraphDataset, known: Index, values: Floats, asked: Index) -> Guess:
    """Fit to ``values`` of structures ``known`` and predict structures ``asked``; folds keep formulas together.

    Raises:
        UsageError: too many or too large structures. InputError: one that has no sine matrix.
    """
    if len(known) > MOST:
        raise UsageError(f"{len(known)} training structures are too many for a kernel; {MOST} are the most")
    matrices = [*_matrices(options, data, known), *_matrices(options, data, asked)]
    size = max(map(len, matrices))
    dim = size if options.matrix == "eigenvalues" else size * (size + 1) // 2
    if dim * len(matrices) > MOST_NUMBERS:
        said = f"matrices of up to {size} atoms are too large for {len(matrices)} structures"
        raise UsageError(f"{said}; krr:matrix=eigenvalues takes less")
    points = sine_matrix.vectors(matrices, size, options.matrix)
    formulas = data.formulas()
    groups = [formulas[k] for k in known]
    found = kernel_ridge.fit_choosing(points[: len(known)], values, groups, options.kernel)
    chosen = {"length": found.length, "penalty": found.penalty, "cv_mae": found.error}
    return Guess(found.predict(points[len(known) :]), {k: v for k, v in chosen.items() if np.isfinite(v)})


def _matrices(options: KrrOptions, data: GraphDataset, index: Index) -> Iterator[Floats]:
    """Sine matrices of the primitive cells of structures ``index``."""
    done = 0
    for part in parts(data, index):
        g = data.batch(part, (), torch.float64).graph
        stops = np.cumsum(g.atom_counts.numpy())
        for k, (a, b) in enumerate(zip([0, *stops[:-1]], stops, strict=True)):
            name = data.ids[int(index[done])]
            done += 1
            if not bool(g.pbc[k].all()):
                raise InputError(f"structure {name} is not periodic in three directions: no sine Coulomb matrix")
            lattice = g.cell[k].numpy()
            fractional = g.positions[a:b].numpy() @ np.linalg.inv(lattice)
            cell = sine_matrix.primitive(sine_matrix.Cell(g.atomic_numbers[a:b].numpy(), fractional, lattice))
            try:
                yield sine_matrix.sine_matrix(cell, options.length_unit)
            except InputError as problem:
                raise InputError(f"structure {name}: {problem.reason}", code=problem.code) from None
