"""Labels of many structures → columns with masks: units agreed, nothing lost silently, everything counted.

How to ask for labels is in :mod:`crystalcli.mechanisms.labelling.label_requests`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crystalcli.mechanisms.caches.cache import Column
from crystalcli.mechanisms.labelling import stress_check
from crystalcli.mechanisms.labelling.label_audit import audit_site, audit_structure, audit_tensor, growth
from crystalcli.mechanisms.labelling.label_requests import LabelRequest, choose, parse
from crystalcli.mechanisms.labelling.label_tensors import CONVENTIONS, UNIT, as_stress, six
from crystalcli.mechanisms.labelling.labelled import STRESS, Labelled
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

__all__ = ["Audit", "LabelRequest", "Labelled", "candidates", "choose", "columns", "parse"]


@dataclass(frozen=True)
class Audit:
    """What the labels look like: lines to print, and what looks suspicious."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def candidates(entries: Sequence[Labelled]) -> Counter[str]:
    """How many structures offer each key."""
    return Counter(key for e in entries for key in e.labels)


def columns(entries: Sequence[Labelled], requests: Sequence[LabelRequest] | None) -> tuple[list[Column], Audit]:
    """Columns of the chosen labels over all structures, in order, and what there is to say of them.

    Missing labels are masked: their value is NaN and never read.

    Raises:
        UsageError: no choice possible (see :func:`choose`), texts where numbers should be, units that differ between
            files, values that contradict "per atom", or a site label that does not fit its structure.
    """
    words, requests = _words_asked_for(entries, requests)
    chosen = choose(candidates(entries), requests)
    made = [_column(entries, request) for request in chosen]
    lines = (*words, *(line for _, audit in made for line in audit.lines))
    return [c for c, _ in made], Audit(lines, tuple(w for _, audit in made for w in audit.warnings))


def _words_asked_for(
    entries: Sequence[Labelled], requests: Sequence[LabelRequest] | None
) -> tuple[list[str], Sequence[LabelRequest] | None]:
    """Texts are kept with every structure anyway: say so, and how to learn them. The rest of the requests remains."""
    tags, keys = Counter(k for e in entries for k in e.tags), {k for e in entries for k in e.labels}
    asked = [r for r in requests or () if r.text in tags and r.text not in keys]
    if not asked:
        return [], requests
    lines = [
        f"'{r.text}' is text: {tags[r.text]} of {len(entries)} structures; "
        f"crystal train --target {r.text} learns classes"
        for r in asked
    ]
    return lines, [r for r in requests or () if r not in asked] or None


def _column(entries: Sequence[Labelled], request: LabelRequest) -> tuple[Column, Audit]:
    _no_text(entries, request)
    known = _known(entries, request)
    quantity = _quantity(known, request)
    if known.shape and known.level == "structure":
        return _tensor_column(entries, request, quantity)
    said: list[str] = []
    if request.unit and known.unit and request.unit != known.unit:
        said.append(f"label '{request.key}' is in {known.unit} by its format; taken as {request.unit}, as asked")
    if known.level == "site":
        values, mask = _site_values(entries, request)
        lines, warnings = audit_site(entries, quantity, request.key, values, mask)
    else:
        values, mask = _structure_values(entries, request)
        said += growth(entries, request, values, mask, known)
        values = _scaled(values, entries, request)
        mask = np.isfinite(values)
        lines, warnings = audit_structure(entries, quantity, request.key, values, mask)
    quantity = replace(quantity, shape=values.shape[1:])
    return Column(quantity, values, mask), Audit(lines, (*said, *warnings))


def _tensor_column(entries: Sequence[Labelled], request: LabelRequest, quantity: Quantity) -> tuple[Column, Audit]:
    """A symmetric tensor per structure, (S, 6); stress in the program's unit, sign and order."""
    if request.scaling:
        raise UsageError(f"label '{request.key}' is a tensor: '{request.scaling}' has no meaning", code="label")
    nothing = np.full(6, np.nan)
    rows = [six(e.labels[request.key], e.source, request.key) if request.key in e.labels else nothing for e in entries]
    values = np.array(rows, dtype=np.float64).reshape(-1, 6)
    said: list[str] = []
    if request.name == STRESS:
        said, values = _stress(entries, request, values, quantity.unit or UNIT)
        quantity = replace(quantity, unit=UNIT)
    mask = np.asarray(np.isfinite(values).all(1), dtype=np.bool_)
    lines, warnings = audit_tensor(entries, quantity, request.key, values, mask)
    return Column(replace(quantity, shape=(6,)), values, mask), Audit((*lines, *said), warnings)


def _stress(
    entries: Sequence[Labelled], request: LabelRequest, written: NDArray[np.float64], unit: str
) -> tuple[list[str], NDArray[np.float64]]:
    """Stress in eV/Å³, and what strained pairs of structures say of the convention."""
    values = as_stress(written, unit)
    verdict = stress_check.check(entries, written, unit, {n: partial(as_stress, unit=n) for n in CONVENTIONS})
    if verdict is None:
        return [], values
    agreement = f"{verdict.pairs} pairs of strained crystals; it leaves {verdict.left:.0%} of their energy differences"
    if not verdict.wrong:
        return [f"label '{request.key}' agrees with the energies of {agreement}"], values
    said = f"label '{request.key}' as {unit} contradicts the energies of {agreement}"
    if verdict.better:
        raise UsageError(f"{said}; --targets {request.key}:{verdict.better} does not", code="label")
    return [f"{said}; no known convention does better"], values


def _no_text(entries: Sequence[Labelled], request: LabelRequest) -> None:
    """A key that is a number here and a word there: the words would be lost without being missed."""
    for e in entries:
        if request.key in e.tags and request.key not in e.labels:
            text = e.tags[request.key]
            raise UsageError(f"label '{request.key}' is '{text}', not a number", path=e.source, code="label")


def _known(entries: Sequence[Labelled], request: LabelRequest) -> Quantity:
    """What the files say of the quantity; all that say something must agree, and with the user."""
    said: dict[Quantity, str] = {}
    for e in entries:
        if request.key in e.labels:
            array = np.ndim(e.labels[request.key]) > 0
            level = Quantity(request.key, level="site" if array else "structure")
            found = e.quantities.get(request.key, level)
            # the shape of a site label follows from its values
            said.setdefault(replace(found, shape=()) if found.level == "site" else found, e.source)
    if len(said) > 1:
        (a, where_a), (b, where_b) = list(said.items())[:2]
        raise UsageError(
            f"label '{request.key}' is {_words(a)} in {where_a} and {_words(b)} in {where_b}", code="label"
        )
    (quantity,) = said
    if request.scaling and quantity.level == "site":
        raise UsageError(
            f"label '{request.key}' is one per atom already: '{request.scaling}' has no meaning", code="label"
        )
    return quantity


def _words(quantity: Quantity) -> str:
    return f"one per {quantity.level}" + (f" in {quantity.unit}" if quantity.unit else ", unit unknown")


def _quantity(known: Quantity, request: LabelRequest) -> Quantity:
    """What the column holds: the user's word on the unit counts more than the format's."""
    unit = request.unit or known.unit
    if request.scaling == "/atom":
        unit = unit if unit.endswith("/atom") or not unit else f"{unit}/atom"
    if request.scaling == "*atoms":
        unit = unit.removesuffix("/atom")
    as_is = known.extensive and not request.unit.endswith("/atom")
    extensive = {"": as_is, "/atom": False, "*atoms": True}[request.scaling]
    return Quantity(request.name, unit, known.level, extensive)


def _structure_values(
    entries: Sequence[Labelled], request: LabelRequest
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.array([e.labels.get(request.key, np.nan) for e in entries], dtype=np.float64)
    return values, np.isfinite(values)


def _site_values(entries: Sequence[Labelled], request: LabelRequest) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """All sites behind one another: (N,) or (N, k), and a mask (N,)."""
    shapes = {np.shape(e.labels[request.key])[1:]: e.source for e in entries if request.key in e.labels}
    if len(shapes) > 1:
        a, b = list(shapes.values())[:2]
        raise UsageError(f"label '{request.key}' has another shape in {a} than in {b}", code="label")
    (tail,) = shapes
    parts = []
    for e in entries:
        value = np.asarray(e.labels.get(request.key, np.full((e.n_atoms, *tail), np.nan)), dtype=np.float64)
        if len(value) != e.n_atoms:
            raise UsageError(
                f"label '{request.key}' has {len(value)} values for {e.n_atoms} atoms", path=e.source, code="label"
            )
        parts.append(value)
    values = np.concatenate(parts)
    mask = np.asarray(np.isfinite(values.reshape(len(values), -1)).all(1), dtype=np.bool_)
    return values, mask


def _scaled(values: NDArray[np.float64], entries: Sequence[Labelled], request: LabelRequest) -> NDArray[np.float64]:
    if not request.scaling:
        return values
    counts = np.array([e.n_atoms for e in entries], dtype=np.float64)
    with np.errstate(over="ignore"):  # infinite then, and masked with a warning
        return values / counts if request.scaling == "/atom" else values * counts
