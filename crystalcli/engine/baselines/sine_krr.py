"""Baseline ``krr``: kernel ridge regression on sine Coulomb matrices, its length and penalty by cross-validation.

``f(x) = ȳ + Σ_i α_i k(x, x_i)`` with ``α = (K + λI)⁻¹ (y − ȳ)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from crystalcli.contracts.options import option
from crystalcli.engine.baselines import sine_matrix
from crystalcli.engine.baselines.baselines import parts
from crystalcli.engine.baselines.guess import Guess
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import InputError, UsageError

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Kernel = Literal["laplacian", "gaussian"]

LENGTHS = tuple(2.0**k for k in range(-2, 9))
"""ℓ to choose from, in median distances of the training points."""
PENALTIES = tuple(10.0**k for k in range(-10, 0))
"""λ to choose from; the diagonal of K is 1."""
FOLDS = 5
MOST_FOR_CHOICE = 1500
"""With more points ℓ and λ are chosen on so many of them."""

MOST = 8000
"""Structures that a kernel is made of; its matrix takes 0.5 GB."""
MOST_NUMBERS = 100_000_000
"""Numbers of all sine matrices together, 0.8 GB."""


@dataclass(frozen=True)
class KernelRidge:
    """A fit.

    Args:
        points: (n, D). weights: α, (n,). mean: ȳ.
        kernel: laplacian ``exp(−‖x − x'‖₁/ℓ)`` or gaussian ``exp(−‖x − x'‖₂²/2ℓ²)``.
        length: ℓ. penalty: λ.
        error: mean absolute error of the cross-validation that chose them, NaN where they were given.
    """

    points: Floats
    weights: Floats
    mean: float
    kernel: Kernel
    length: float
    penalty: float
    error: float = float("nan")

    def predict(self, points: Floats) -> Floats:
        """Values (m,) at (m, D) points."""
        near = similarity(distances(points, self.points, self.kernel), self.length, self.kernel)
        return np.asarray(self.mean + near @ self.weights, dtype=np.float64)


def distances(a: Floats, b: Floats, kernel: Kernel) -> Floats:
    """Distances (n, m) in the norm of the kernel."""
    return np.asarray(cdist(a, b, "cityblock" if kernel == "laplacian" else "euclidean"), dtype=np.float64)


def similarity(distance: Floats, length: float, kernel: Kernel) -> Floats:
    """The kernel of distances."""
    scaled = distance / length
    return np.exp(-scaled) if kernel == "laplacian" else np.exp(-0.5 * scaled**2)


def fit(points: Floats, values: Floats, kernel: Kernel, length: float, penalty: float) -> KernelRidge:
    """The fit with ℓ and λ as given."""
    gram = similarity(distances(points, points, kernel), length, kernel)
    mean = float(values.mean())
    weights = np.asarray(np.linalg.solve(gram + penalty * np.eye(len(gram)), values - mean), dtype=np.float64)
    return KernelRidge(points, weights, mean, kernel, length, penalty)


def fit_choosing(points: Floats, values: Floats, groups: Sequence[str], kernel: Kernel) -> KernelRidge:
    """The fit with the ℓ and λ of the least mean absolute error in five folds that keep ``groups`` together.

    Points that all are one get the mean.
    """
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(points))[:MOST_FOR_CHOICE])
    between = distances(points[chosen], points[chosen], kernel)
    apart = between[between > 0.0]
    if not len(apart):
        return fit(points, values, kernel, 1.0, 1.0)
    unit = float(np.median(apart))
    folds = folds_of([groups[k] for k in chosen])
    errors = {
        (length * unit, penalty): error
        for length in LENGTHS
        for penalty, error in zip(
            PENALTIES, _errors(similarity(between, length * unit, kernel), values[chosen], folds), strict=True
        )
    }
    (length, penalty), error = min(errors.items(), key=lambda item: item[1])
    found = fit(points, values, kernel, length, penalty)
    return KernelRidge(points, found.weights, found.mean, kernel, length, penalty, float(error))


def folds_of(groups: Sequence[str]) -> Index:
    """Number of the fold of every point, (n,); groups stay together where there are enough of them."""
    names = sorted(set(groups))
    if len(names) < FOLDS:
        return np.asarray(np.random.default_rng(1).permutation(len(groups)) % FOLDS, dtype=np.int64)
    place = dict(zip(names, np.random.default_rng(1).permutation(len(names)).tolist(), strict=True))
    return np.array([place[g] % FOLDS for g in groups], dtype=np.int64)


def _errors(gram: Floats, values: Floats, folds: Index) -> Floats:
    """Mean absolute error of the folds for every λ; with K = VSVᵀ one decomposition serves all."""
    error = np.zeros((len(PENALTIES), len(values)))
    for fold in np.unique(folds):
        out = np.flatnonzero(folds == fold)
        kept = np.flatnonzero(folds != fold)
        mean = values[kept].mean() if len(kept) else 0.0
        # only V f(S) Vᵀ comes of it, and it chooses ℓ and λ alone: the same whatever axes are chosen
        squares, axes = np.linalg.eigh(gram[np.ix_(kept, kept)])
        projected = axes.T @ (values[kept] - mean)
        seen = gram[np.ix_(out, kept)] @ axes
        for k, penalty in enumerate(PENALTIES):
            guessed = mean + seen @ (projected / (np.clip(squares, 0.0, None) + penalty))
            error[k, out] = np.abs(guessed - values[out])
    return np.asarray(error.mean(axis=1), dtype=np.float64)


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
    found = fit_choosing(points[: len(known)], values, groups, options.kernel)
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
