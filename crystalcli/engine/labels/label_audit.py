"""What a careful user would notice in a column of labels: counts, ranges, constants, outliers, totals per atom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crystalcli.nouns.magnitudes import beyond, mean_and_deviation, reduced
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import some

if TYPE_CHECKING:
    from crystalcli.engine.labels.label_requests import LabelRequest
    from crystalcli.engine.labels.labelled import Labelled

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Shown = tuple[tuple[str, ...], tuple[str, ...]]
"""Lines and warnings."""
FAR = 100.0
"""A value this many times the interquartile range away from the quartiles is called an outlier."""
SAY_PER_ATOM = ("per_atom", "peratom", "/atom")
"""Words in a key by which it says that it is per atom."""
_NAMED = 3
_ENOUGH = 8


def audit_structure(entries: Sequence[Labelled], quantity: Quantity, key: str, values: Floats, mask: Mask) -> Shown:
    """Look at one value per structure, called ``key`` in the files, as it will be used.

    Raises:
        UsageError: not one finite value.
    """
    line = _summary(f"label '{key}' as '{quantity.name}'", values[mask], mask, quantity.unit, "structures")
    return (line,), (
        *_size(key, values[mask]),
        *_missing(entries, key, mask),
        *_shape_of(entries, key, values, mask),
        *_twins(entries, key, values, mask),
    )


def audit_site(entries: Sequence[Labelled], quantity: Quantity, key: str, values: Floats, mask: Mask) -> Shown:
    """Look at one value (or vector) per atom.

    Raises:
        UsageError: not one finite value.
    """
    if not mask.any():
        named = some([e.source for e in entries], _NAMED)
        with_it = [e for e in entries if key in e.labels]
        if quantity.meaning == "position" and with_it and all(len(e.held) == e.n_atoms for e in with_it):
            raise UsageError(f"label '{key}' is of held atoms only, where it is none (see {named})")
        raise UsageError(f"label '{key}' has no finite value on any atom (see {named})")
    line = _summary(f"label '{key}' as '{quantity.name}'", values[mask], mask, quantity.unit, "atoms")
    without = [e.source for e in entries if key not in e.labels]
    start = np.concatenate([[0], np.cumsum([e.n_atoms for e in entries])])
    known = mask.copy()
    if quantity.meaning == "position":  # of held atoms it is none, which is said elsewhere
        known[[a + k for e, a in zip(entries, start, strict=False) for k in e.held]] = True
    broken = [
        e.source for e, a, b in zip(entries, start, start[1:], strict=False) if key in e.labels and not known[a:b].all()
    ]
    infinite = [e.source for e, a, b in zip(entries, start, start[1:], strict=False) if np.isinf(values[a:b]).any()]
    warnings = _size(key, values[mask])
    if infinite:
        warnings.append(f"label '{key}': infinite on some atoms in {len(infinite)} ({some(infinite, _NAMED)}); masked")
    if without:
        warnings.append(f"label '{key}': {len(without)} structures have none ({some(without, _NAMED)}); masked")
    if broken:
        warnings.append(f"label '{key}': some atoms have none in {len(broken)} ({some(broken, _NAMED)}); masked")
    return (line,), tuple(warnings)


def audit_tensor(entries: Sequence[Labelled], quantity: Quantity, key: str, values: Floats, mask: Mask) -> Shown:
    """Look at one tensor per structure.

    Raises:
        UsageError: not one finite value.
    """
    line = _summary(f"label '{key}' as '{quantity.name}'", values[mask], mask, quantity.unit, "structures")
    return (line,), (*_size(key, values[mask]), *_missing(entries, key, mask))


def _summary(said: str, have: Floats, mask: Mask, unit: str, of: str) -> str:
    if not have.size:
        return f"{said}: none of {len(mask)} {of} has a usable value"
    mean, deviation = mean_and_deviation(have)
    spread = f"{have.min():.6g} … {have.max():.6g}, mean {mean:.6g}, deviation {deviation:.4g}"
    return f"{said}: {int(mask.sum())} of {len(mask)} {of}, {spread} ({unit or 'unit unknown'})"


def _size(key: str, have: Floats) -> list[str]:
    """A label that no training will take."""
    said = beyond(have)
    return [f"label '{key}', {said}"] if said else []


def _missing(entries: Sequence[Labelled], key: str, mask: Mask) -> list[str]:
    without = [e.source for e in entries if key not in e.labels]
    odd = [e.source for e, ok in zip(entries, mask, strict=True) if not ok and key in e.labels]
    if not mask.any():
        raise UsageError(f"label '{key}' has no finite value (see {some(odd, _NAMED)})", code="label")
    warnings = []
    if without:
        warnings.append(f"label '{key}': {len(without)} structures have none ({some(without, _NAMED)}); masked")
    if odd:
        warnings.append(f"label '{key}': {len(odd)} values are not finite ({some(odd, _NAMED)}); masked")
    return warnings


def _shape_of(entries: Sequence[Labelled], key: str, values: Floats, mask: Mask) -> list[str]:
    small, _ = reduced(np.where(mask, values, 0.0))
    have, said = small[mask], f"label '{key}'"
    if len(have) < 2:
        return []
    if np.ptp(have) == 0:
        return [f"{said}: all {len(have)} values are {values[mask][0]:g}"]
    warnings = []
    if len(have) >= _ENOUGH:
        low, high = np.quantile(have, [0.25, 0.75])
        width = max(high - low, 1e-12 * np.abs(have).max())
        far = mask & ((small < low - FAR * width) | (small > high + FAR * width))
        if far.any() and far.sum() <= 0.01 * len(have) + 1:
            named = some([f"{e.source} = {v:g}" for e, v, f in zip(entries, values, far, strict=True) if f], _NAMED)
            warnings.append(f"{said}: {int(far.sum())} values lie far outside the rest ({named})")
        common = np.unique(have, return_counts=True)[1].max()
        if common > 0.5 * len(have):
            warnings.append(f"{said}: one value occurs {common} times among {len(have)}")
    return warnings


def _twins(entries: Sequence[Labelled], key: str, values: Floats, mask: Mask) -> list[str]:
    """The same crystal more than once: harmless in training, a leak between splits, a fault if its labels differ."""
    first: dict[bytes, int] = {}
    twins = [(first[e.crystal], k) for k, e in enumerate(entries) if e.crystal and first.setdefault(e.crystal, k) != k]
    if not twins:
        return []
    named = some([f"{entries[k].source} is {entries[i].source}" for i, k in twins], _NAMED)
    small, unit = reduced(np.where(mask, values, 0.0))
    differ = [abs(float(small[i] - small[k])) for i, k in twins if mask[i] and mask[k] and values[i] != values[k]]
    said = f"; {len(differ)} of them with another '{key}', by up to {max(differ) * unit:.3g}" if differ else ""
    return [f"{len(twins)} structures are the same crystal as one before ({named}){said}"]


def growth(
    entries: Sequence[Labelled], request: LabelRequest, values: Floats, mask: Mask, known: Quantity
) -> list[str]:
    """Compare values as in the file with the numbers of atoms: a total grows with them, a value per atom does not.

    Raises:
        UsageError: format or values contradict what the key or the request says, and the user did not say the unit.
    """
    named = f"{request.name} {request.key}"
    per_atom_words = not request.scaling and _says_per_atom(named)
    cures = f"say --targets {request.text}/atom, or {request.text}:UNIT to keep it"
    called = f"label '{request.key}' is a value per atom by its name"
    if known.extensive and not request.scaling and _says_per_atom(request.key):  # under the name of a total
        if request.unit:
            return [f"{called}; taken as a total in {request.unit}, as asked"]
        total = f"--targets {request.name}={request.key}*atoms makes it the total '{request.name}'"
        raise UsageError(f"{called}; {total}, {request.text}:eV/atom keeps it", code="label")
    twice = request.scaling == "/atom" and not request.unit and _says_per_atom(request.key)
    divided = [f"{called}, and divided by the number of atoms"] if twice else []
    if known.extensive and per_atom_words and not request.unit:
        raise UsageError(f"label '{request.key}' is a total by its format, no value per atom; {cures}", code="label")
    have, _ = reduced(values[mask])
    counts = np.array([e.n_atoms for e in entries], dtype=np.float64)[mask]
    if len(have) < _ENOUGH or np.ptp(counts) == 0 or np.ptp(have) == 0:
        return divided
    correlation = float(np.corrcoef(have, counts)[0, 1])
    grows = abs(correlation) > 0.9 and counts.std() > 0.1 * counts.mean()
    said = f"label '{request.key}' follows the number of atoms (correlation {correlation:.2f})"
    if grows and per_atom_words and not request.unit:
        raise UsageError(f"{said}: looks like a total, not a value per atom; {cures}", code="label")
    if grows and not request.scaling and not known.extensive:
        return [f"{said}: looks like a total; '{request.key}/atom' would take it per atom"]
    flat = have.std() < 0.05 * abs(have.mean()) and counts.std() > 0.2 * counts.mean()
    total_wanted = request.scaling == "/atom" or known.extensive
    if flat and total_wanted and abs(correlation) < 0.9 and not request.unit:
        raise UsageError(
            f"label '{request.key}' does not grow with the number of atoms: looks like a value per atom already; "
            f"say its unit (--targets {request.text}:UNIT) to take it as it is",
            code="label",
        )
    return [] if grows else divided


def _says_per_atom(name: str) -> bool:
    return any(word in name.lower() for word in SAY_PER_ATOM)
