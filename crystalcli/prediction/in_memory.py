"""A trained model in a Python program: structures in memory → values with units. Offered as ``crystalcli.load_model``.

::

    from crystalcli import load_model

    model = load_model("runs/latest")
    for found in model.predict(list_of_atoms):
        energy = found["energy_per_atom"]
        print(energy.value, energy.unit)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np

from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.check import check
from crystalcli.nouns.structures.entry import Entry
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.rows import Row
from crystalcli.prediction.structures import moved
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity


@dataclass(frozen=True)
class Predicted:
    """One predicted quantity of one structure.

    Args:
        value: a number, (n_atoms,) numbers for a quantity per site, or the name of the class.
        unit: of the value and of sigma, ``""`` if unknown.
        sigma: uncertainty, where the model gives one; of an ensemble ``σ² = sigma_a² + sigma_e²``.
        sigma_a, sigma_e: its parts: noise of the labels, and spread of the members.
        intervals: (low, high) by the percentage of truths that they hold (``"90"``), of a model calibrated so.
        calibration: how sigma was calibrated, or ``uncalibrated``; none without sigma.
        probabilities: by class, for a class.
        structure: of predicted positions, the structure with its atoms there.
        extrapolating: why the structure is unlike those of the training; empty if nothing speaks for it.
    """

    value: Any
    unit: str
    sigma: Any = None
    sigma_a: Any = None
    sigma_e: Any = None
    intervals: dict[str, tuple[Any, Any]] | None = None
    calibration: str | None = None
    probabilities: dict[str, float] | None = None
    structure: ase.Atoms | None = None
    extrapolating: str = ""


class LoadedModel:
    """A model that predicts structures in memory; make one with :func:`load_model`.

    Args:
        path: model file, or the folder of the run that made it.
        device: as for ``torch.device``.
        batch_size: structures in a batch, at most.
        allow_unseen_elements: predict structures with elements that training never saw, too.
    """

    def __init__(self, path: str | Path, *, device: str, batch_size: int, allow_unseen_elements: bool) -> None:
        self._predictor = Predictor(
            Path(path),
            device=device,
            batch_size=batch_size,
            allow_unseen=allow_unseen_elements,
            unseen_cure="; allow_unseen_elements=True predicts nevertheless",
            warn=lambda line: warnings.warn(line, stacklevel=2),
        )

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is predicted: name, unit, level, classes."""
        return self._predictor.quantities

    def predict(self, structures: Any) -> Any:
        """Predict one structure or several.

        Args:
            structures: an ``ase.Atoms`` (``info`` may hold numbers that the model reads beside the graph), anything
                with ``to_ase_atoms()`` (pymatgen), or an iterable of those.

        Returns:
            :class:`Predicted` by name of the quantity; for several structures a list of such dictionaries, in order.

        Raises:
            InputError: a structure that cannot be predicted; says which and why.
        """
        alone = isinstance(structures, ase.Atoms) or hasattr(structures, "to_ase_atoms")
        several: Iterable[Any] = [structures] if alone else structures
        found = []
        for item in self._predictor.of_entries(_entry(k, s) for k, s in enumerate(several)):
            if isinstance(item, Failure):
                raise InputError(f"structure {item.id}: {item.reason}", code=item.code)
            found.append(self._named(item))
        self._predictor.say_extrapolation()
        return found[0] if alone else found

    def _named(self, row: Row) -> dict[str, Predicted]:
        made = {}
        for q in self.quantities:
            value = row.values[q.name]
            if q.classes:
                shares = {w: float(p) for w, p in zip(q.words, value, strict=True)}
                made[q.name] = Predicted(
                    q.words[int(np.argmax(value))], q.unit, probabilities=shares, extrapolating=row.extrapolating
                )
            else:
                there = moved(row, q) if q.meaning == "position" else None
                made[q.name] = Predicted(_plain(value), q.unit, structure=there, **self._uncertainty(row, q.name))
        return made

    def _uncertainty(self, row: Row, name: str) -> dict[str, Any]:
        known = {word: _plain(u) for word, u in row.uncertainties.get(name, {}).items()}
        if not known:
            return {"extrapolating": row.extrapolating}
        levels = [word.removeprefix("low_") for word in known if word.startswith("low_")]
        intervals = {level: (known[f"low_{level}"], known[f"high_{level}"]) for level in levels}
        sigmas = {word: u for word, u in known.items() if word.startswith("sigma")}
        return {
            **sigmas,
            "intervals": intervals or None,
            "calibration": self._predictor.calibrations[name],
            "extrapolating": row.extrapolating,
        }


def load_model(
    path: str | Path, *, device: str = "cpu", batch_size: int = 64, allow_unseen_elements: bool = False
) -> LoadedModel:
    """Load the model of a file or run folder.

    Raises:
        UsageError: no model there, or a plugin is missing or too old. InputError: damaged. UnsafeInput: a pickle.
    """
    return LoadedModel(path, device=device, batch_size=batch_size, allow_unseen_elements=allow_unseen_elements)


def predict(model: LoadedModel | str | Path, structures: Any) -> Any:
    """As ``model.predict(structures)``, with a model or where it is."""
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    return loaded.predict(structures)


def _entry(k: int, structure: Any) -> Entry | Failure:
    atoms = structure.to_ase_atoms() if hasattr(structure, "to_ase_atoms") else structure
    if not isinstance(atoms, ase.Atoms):
        raise UsageError(f"structure {k} is of type {type(structure).__name__}, not ase.Atoms or a pymatgen structure")
    try:
        check(atoms)
    except InputError as problem:
        return Failure("", str(k), "check", problem.code, problem.reason)
    return Entry(str(k), atoms, str(k), labels=dict(atoms.info))


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value, dtype=np.float64)
