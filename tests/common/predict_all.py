"""Predict all structures of ``in`` with a model: ``python predict_all.py RUN OUT.npz``."""

import sys
import warnings
from pathlib import Path

import ase.io
import numpy as np

from crystalcli import load_model


def predict_all(run: str) -> dict[str, np.ndarray]:
    """Values by quantity of all structures one after the other; energies of crystals per atom."""
    structures = [a for path in sorted(Path("in").iterdir()) for a in ase.io.read(path, ":")]
    model = load_model(run)
    with warnings.catch_warnings(action="ignore"):  # of distances that its baseline does not know
        found = model.predict(structures)
    return {
        q.name: np.concatenate(
            [np.ravel(f[q.name].value) / (len(a) if q.extensive else 1) for a, f in zip(structures, found, strict=True)]
        )
        for q in model.quantities
    }


if __name__ == "__main__":
    np.savez(sys.argv[2], **predict_all(sys.argv[1]))
