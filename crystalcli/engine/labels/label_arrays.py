"""Labels that are a vector or a tensor per structure → columns: shapes, units, signs, order as programs write them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.labels import stress_check
from crystalcli.engine.labels.label_audit import Shown, audit_tensor
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.labels.labelled import STRESS, Labelled
from crystalcli.nouns.structures.offered import OF_VIRIAL, is_virial, voigt
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.units import GPA

STRESS_UNIT = "eV/Å³"

Floats = NDArray[np.float64]
ORDER = "xx yy zz yz xz xy"
_MOST_STRESS = 2.0
"""eV/Å³, 320 GPa: as in the core of the Earth."""
_TENSORS = ((6,), (3, 3))


@dataclass(frozen=True)
class Written:
    """How a stress is written: times ``factor`` it is in eV/Å³, tensile positive; ``order`` of six components."""

    factor: float
    order: tuple[int, ...] = (0, 1, 2, 3, 4, 5)


VASP = Written(-0.1 * GPA, (0, 1, 2, 4, 5, 3))
"""kbar, compression positive, in the order xx yy zz xy yz zx of the OUTCAR."""
CONVENTIONS = {
    "ase": Written(1.0),
    "eV/Å³": Written(1.0),
    "eV/A^3": Written(1.0),
    "-eV/Å³": Written(-1.0),
    "GPa": Written(GPA),
    "-GPa": Written(-GPA),
    "kbar": Written(0.1 * GPA),
    "-kbar": Written(-0.1 * GPA),
    "vasp": VASP,
}
"""What may follow ``stress:``. A minus says that compression is positive; six numbers are xx yy zz yz xz xy unless
``vasp``."""


def six_components(value: NDArray[np.float64], source: str, key: str) -> NDArray[np.float64]:
    """A tensor as six components; (6,) stays, (9,) and (3, 3) must be symmetric.

    Raises:
        UsageError: another shape, or not symmetric.
    """
    value = np.asarray(value, dtype=np.float64)
    if value.shape == (6,):
        return value
    if value.size != 9:
        raise UsageError(
            f"label '{key}' has shape {value.shape}, a tensor has 6 or 9 numbers", path=source, code="label"
        )
    full = value.reshape(3, 3)
    if np.isfinite(full).all() and np.abs(full - full.T).max() > 1e-3 * max(np.abs(full).max(), 1e-6):
        raise UsageError(f"label '{key}' is not symmetric", path=source, code="label")
    return np.array([full[0, 0], full[1, 1], full[2, 2], full[1, 2], full[0, 2], full[0, 1]])


def as_stress(values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """(S, 6) as written → (S, 6) eV/Å³, tensile positive, xx yy zz yz xz xy.

    Raises:
        UsageError: a convention that is not known.
    """
    if unit not in CONVENTIONS:
        raise UsageError(
            f"no convention '{unit}' for stress ({did_you_mean(unit, list(CONVENTIONS))}); "
            "a minus says that compression is positive, vasp is kbar with its sign and order",
            code="label",
        )
    written = CONVENTIONS[unit]
    return written.factor * values[:, list(written.order)] + 0.0  # no -0


def array_column(
    entries: Sequence[Labelled], request: LabelRequest, known: Quantity, quantity: Quantity, energy: str
) -> tuple[Column, Shown]:
    """Column and lines of a label that is an array per structure.

    Args:
        entries: all structures.
        request: what was asked for.
        known: what the files say of it.
        quantity: what the column is to be called, with the unit that was said.
        energy: key of the energies, for a stress to be compared with.

    Raises:
        UsageError: shapes that differ, a scaling, a stress that is no symmetric tensor or in no known convention.
    """
    if request.scaling:
        raise UsageError(f"label '{request.key}' is an array: '{request.scaling}' has no meaning", code="label")
    given = [e.labels.get(request.key) for e in entries]
    is_tensor = known.shape in _TENSORS and all(v is None or voigt(np.asarray(v)) is not None for v in given)
    if request.name != STRESS and not (is_tensor or known.shape == (6,)):
        values = _rows(entries, request.key, known)
        lines = (
            [f"label '{request.key}' is kept as {values.shape[1]} numbers, as written"] if known.shape == (3, 3) else []
        )
        return _column(entries, request.key, quantity, values, lines)
    nothing = np.full(6, np.nan)
    rows = [
        nothing if v is None else six_components(v, e.source, request.key) for e, v in zip(entries, given, strict=True)
    ]
    values = np.array(rows, dtype=np.float64).reshape(-1, 6)
    if request.name != STRESS:
        return _column(entries, request.key, quantity, values, _as_written(request, quantity))
    said, values = _stress(entries, request, values, quantity.unit, energy)
    column, (shown, warnings) = _column(entries, request.key, replace(quantity, unit=STRESS_UNIT), values, said)
    return column, (shown, (*warnings, *([] if request.unit else _of_another_unit(request, values))))


def stress_of_virials(chosen: Sequence[LabelRequest], offered: Collection[str]) -> tuple[list[str], list[LabelRequest]]:
    """``stress=REF_virial`` asks for −virial/V, which the files offer under a name of its own; said."""
    lines, found = [], []
    for request in chosen:
        derived = OF_VIRIAL + request.key
        if request.name == STRESS and is_virial(request.key) and derived in offered:
            lines.append(f"label '{request.key}' is a virial: stress is −virial/V, in eV/Å³ if the virial is in eV")
            request = replace(request, key=derived)  # noqa: PLW2901
        found.append(request)
    return lines, found


def _column(
    entries: Sequence[Labelled], key: str, quantity: Quantity, values: Floats, said: Sequence[str]
) -> tuple[Column, Shown]:
    mask = np.asarray(np.isfinite(values).all(1), dtype=np.bool_)
    lines, warnings = audit_tensor(entries, quantity, key, values, mask)
    return Column(replace(quantity, shape=values.shape[1:]), values, mask), ((*lines, *said), warnings)


def _rows(entries: Sequence[Labelled], key: str, known: Quantity) -> Floats:
    """(S, k), NaN where there is none."""
    k = int(np.prod(known.shape))
    nothing = np.full(k, np.nan)
    return np.array([np.ravel(e.labels.get(key, nothing)) for e in entries], dtype=np.float64).reshape(-1, k)


def _as_written(request: LabelRequest, quantity: Quantity) -> list[str]:
    """Nobody knows the sign and unit of a tensor under a name of its own."""
    said = f"label '{request.key}' is kept as {ORDER}, with the sign and in the unit it is written in"
    asks = "" if quantity.unit else f"; {request.text}:UNIT says the unit"
    if "stress" in request.key.lower():
        asks = f"; stress={request.key}[:UNIT] makes it the stress that potentials learn"
    return [said + asks]


def _stress(
    entries: Sequence[Labelled], request: LabelRequest, written: Floats, unit: str, energy: str
) -> tuple[list[str], Floats]:
    """Stress in eV/Å³, how it was understood, and what strained pairs of structures say of that."""
    lines = [] if request.unit else [_understood(request, unit)]
    unit = unit or STRESS_UNIT
    values = as_stress(written, unit)
    conventions: dict[str, Any] = {n: partial(as_stress, unit=n) for n in CONVENTIONS}
    verdict = stress_check.check(entries, written, unit, conventions, energy)
    if verdict is None:
        return lines, values
    agreement = f"{verdict.pairs} pairs of strained crystals; it leaves {verdict.left:.0%} of their energy differences"
    if not verdict.wrong:
        return [*lines, f"label '{request.key}' agrees with the energies of {agreement}"], values
    said = f"label '{request.key}' as {unit} contradicts the energies of {agreement}"
    if verdict.better:
        name = "" if request.key == STRESS else f"{STRESS}="
        raise UsageError(f"{said}; --targets {name}{request.key}:{verdict.better} does not", code="label")
    return [*lines, f"{said}; no known convention does better"], values


def _of_another_unit(request: LabelRequest, values: Floats) -> list[str]:
    """A warning where most structures are under more than crystals bear: the numbers are in another unit."""
    have = np.abs(values[np.isfinite(values).all(1)]).max(axis=1, initial=0.0)
    usual = float(np.median(have)) if len(have) else 0.0
    if usual < _MOST_STRESS:
        return []
    name = request.key if request.name == request.key else f"{request.name}={request.key}"
    said = f"label '{request.key}': in half of the structures a component is beyond {usual / GPA:.4g} GPa"
    return [f"{said}; is it in another unit? --targets {name}:GPa, :kbar, … says it, :{STRESS_UNIT} that it is not"]


def _understood(request: LabelRequest, unit: str) -> str:
    """In words, how a stress is taken whose unit the user did not say."""
    said = f"label '{request.key}' is taken in {(unit or STRESS_UNIT).removeprefix('-')}"
    sign = "compression" if unit.startswith("-") else "tension"
    name = request.key if request.name == request.key else f"{request.name}={request.key}"
    why = "as its format says" if unit else f"as nothing says otherwise; {name}:GPa, :kbar, :vasp, :-GPa, … would"
    return f"{said}, {sign} positive, {ORDER}, {why}"
