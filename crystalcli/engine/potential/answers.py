"""What a calculator answers, in the shapes that everything else counts on; anything else is said of the structure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.dynamics import Evaluated
from crystalcli.engine.registry.working_folder import staying
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import CrystalError, InputError, what_happened

Floats = NDArray[np.float64]
Shape = tuple[int, ...]

CODE = "calculator"
"""Of what a calculator does wrong."""
MEMORY = (MemoryError, torch.OutOfMemoryError)
"""Of a batch that is too large: no structure's fault."""


@contextmanager
def asked(who: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """While a calculator works: what it raises costs its structure, an exit too, not the batch; nor does it move us.

    Args:
        who: is asked about what.
        but: errors that are raised on.

    Raises:
        InputError: it raises; says what.
    """
    passed: tuple[type[Exception], ...] = (CrystalError, *but)
    try:
        with staying():
            yield
    except passed:
        raise
    except (Exception, SystemExit) as problem:  # calculators raise many kinds
        raise InputError(f"{who}: {what_happened(problem)}", code=CODE) from problem


def of_one(results: Mapping[str, Any], n: int, who: str, *, stress: bool) -> dict[str, Floats]:
    """Results of an ASE calculator for a structure of ``n`` atoms: energy (), forces (n, 3), stress (3, 3), energies.

    Axes of length one too many, or too few, are no fault. What was not asked for is left out, but energies of atoms.

    Raises:
        InputError: a result is no numbers, or has another shape; says which.
    """
    shapes: dict[str, list[Shape]] = {"energy": [()], "forces": [(n, 3)]}
    if stress:
        shapes["stress"] = [(6,), (3, 3)]
    if results.get("energies") is not None:
        shapes["energies"] = [(n,)]
    found = {name: _shaped(results[name], allowed, who, name) for name, allowed in shapes.items()}
    if stress and found["stress"].shape == (6,):
        found["stress"] = voigt_6_to_full_3x3_stress(found["stress"])
    return found


def of_batch(said: Any, systems: Systems, who: str, *, stress: bool) -> Evaluated:
    """What a calculator of whole batches says of ``systems``, in float64.

    Raises:
        InputError: a result is missing, no tensor, or has another shape; says which.
    """
    n, atoms = systems.n_structures, systems.n_atoms
    shapes: dict[str, Shape] = {"energy": (n,), "forces": (atoms, 3)}
    if stress:
        shapes["stress"] = (n, 3, 3)
    more: dict[str, Shape] = {"energies": (atoms,), "sigma": (n,)}
    shapes |= {k: s for k, s in more.items() if getattr(said, k, None) is not None}
    found: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        value = getattr(said, name, None)
        if not isinstance(value, Tensor):
            kind = "no" if value is None else f"a {type(value).__name__}, not a tensor, for"
            raise InputError(f"{who} gives {kind} {name}", code=CODE)
        if _long(tuple(value.shape)) != _long(shape):
            raise InputError(_of_shape(f"{who} gives {name}", tuple(value.shape), [shape]), code=CODE)
        found[name] = value.reshape(shape).to(torch.float64)
    return Evaluated(**found)


def _shaped(value: Any, allowed: list[Shape], who: str, name: str) -> Floats:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (Exception, SystemExit) as problem:  # an array of somebody else's may raise anything
        raise InputError(f"{who} gives no numbers for {name}: {what_happened(problem)}", code=CODE) from problem
    for shape in allowed:
        if _long(array.shape) == _long(shape):
            return array.reshape(shape)
    raise InputError(_of_shape(f"{who} gives {name}", array.shape, allowed), code=CODE)


def _long(shape: Shape) -> Shape:
    """Without axes of length one."""
    return tuple(length for length in shape if length != 1)


def _of_shape(said: str, found: Shape, wanted: list[Shape]) -> str:
    kinds = " or ".join(str(shape) if shape else "one number" for shape in wanted)
    return f"{said} of shape {found}, not {kinds}"
