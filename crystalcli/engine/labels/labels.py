"""Labels of many structures → columns with masks: units agreed, nothing lost silently, everything counted.

How to ask for labels is in :mod:`crystalcli.engine.labels.label_requests`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.cache.cache import Column
from crystalcli.engine.labels.label_arrays import array_column, stress_of_virials
from crystalcli.engine.labels.label_audit import audit_site, audit_structure, growth
from crystalcli.engine.labels.label_levels import of_one_level
from crystalcli.engine.labels.label_requests import POSITION, LabelRequest, choose, parse
from crystalcli.engine.labels.label_units import ENERGIES, PRESSURE, as_named, by_its_name, in_our_units
from crystalcli.engine.labels.label_words import are_words, candidates, the_property, with_numbers
from crystalcli.engine.labels.labelled import ENERGY, STRESS, Labelled
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

__all__ = ["Audit", "LabelRequest", "Labelled", "candidates", "choose", "columns", "parse", "the_property"]

OF_STRUCTURES = frozenset({*ENERGIES, PRESSURE, STRESS})
"""What a potential has for a structure as a whole."""


@dataclass(frozen=True)
class Audit:
    """What the labels look like: lines to print, what looks suspicious, and the keys of the files that were taken."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    keys: frozenset[str] = frozenset()


def columns(entries: Sequence[Labelled], requests: Sequence[LabelRequest] | None) -> tuple[list[Column], Audit]:
    """Columns of the chosen labels over all structures, in order, and what there is to say of them.

    Missing labels are masked: their value is NaN and never read.

    Raises:
        UsageError: no choice possible (see :func:`choose`), texts where numbers should be, units that differ between
            files, values that contradict "per atom", or a site label that does not fit its structure.
    """
    words, requests = _words_asked_for(entries, requests)
    offered = candidates(entries, [key for r in requests or () for key in (r.text, r.key)])
    said, chosen = stress_of_virials(choose(offered, requests, "" if requests else the_property(entries)), offered)
    energy = next((r.key for r in chosen if r.name == ENERGY and not r.scaling), ENERGY)
    keys = {r.key for r in chosen}
    entries = of_one_level(with_numbers(entries, keys), keys)
    made = [_column(entries, request, energy) for request in chosen]
    lines = (*words, *said, *(line for _, audit in made for line in audit.lines))
    warnings = tuple(dict.fromkeys(w for _, audit in made for w in audit.warnings))  # of crystals, not of a label
    return [c for c, _ in made], Audit(lines, warnings, frozenset(r.key for r in chosen))


def _words_asked_for(
    entries: Sequence[Labelled], requests: Sequence[LabelRequest] | None
) -> tuple[list[str], Sequence[LabelRequest] | None]:
    """Texts are kept with every structure anyway: say so, and how to learn them. The rest of the requests remains."""
    asked = [r for r in requests or () if are_words(entries, r)]
    if not asked:
        return [], requests
    lines = [
        f"'{r.text}' is text: {sum(r.text in e.tags for e in entries)} of {len(entries)} structures; "
        f"crystal train --target {r.text} learns classes"
        for r in asked
    ]
    return lines, [r for r in requests or () if r not in asked] or None


def _column(entries: Sequence[Labelled], request: LabelRequest, energy: str) -> tuple[Column, Audit]:
    asked, found = request, _known(entries, request)
    request, by_name = by_its_name(asked, found)
    known = as_named(found, request)
    if known.level == "site" and request.name in OF_STRUCTURES:
        raise UsageError(
            f"label '{request.key}' is one per atom, '{request.name}' is of the whole structure; "
            f"--targets site_{request.name}={request.key} learns it under another name",
            code="label",
        )
    quantity = _quantity(known, request)
    if known.shape and known.level == "structure":
        column, (lines, warnings) = array_column(entries, request, known, quantity, energy)
        return column, Audit((*lines, *by_name), warnings)
    said: list[str] = []
    converted = by_name
    if request.unit not in ("", POSITION) and known.unit and request.unit != known.unit:
        said.append(f"label '{request.key}' is in {known.unit} by its format; taken as {request.unit}, as asked")
    if known.level == "site":
        values, mask = _site_values(entries, request)
        if quantity.meaning == "position":
            values, mask = _of_free_atoms(values, mask, entries)
        quantity, values, made = in_our_units(quantity, values, request)
        converted += made
        lines, warnings = audit_site(entries, quantity, request.key, values, mask)
    else:
        values, mask = _structure_values(entries, request)
        said += growth(entries, asked, values, mask, known)
        values = _scaled(values, entries, request)
        quantity, values, made = in_our_units(quantity, values, request)
        converted += made
        mask = np.isfinite(values)
        lines, warnings = audit_structure(entries, quantity, request.key, values, mask)
    quantity = replace(quantity, shape=values.shape[1:])
    if quantity.meaning == "position":
        _refuse_no_places(quantity, request)
        held = sum(len(e.held) for e in entries if request.key in e.labels)
        those = f"; those of {held} held atoms are no labels" if held else ""
        lines = (*lines, f"label '{request.key}' is places of atoms in Å: compared by the nearest image{those}")
    return Column(quantity, values, mask), Audit((*lines, *converted), (*said, *warnings))


def _refuse_no_places(quantity: Quantity, request: LabelRequest) -> None:
    if (quantity.level, quantity.shape) != ("site", (3,)):
        said = f"label '{request.key}' is {_words(quantity)}; only three numbers per atom are its position"
        raise UsageError(said, code="label")


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
    one = f"{' × '.join(map(str, quantity.shape))} numbers" if quantity.shape else "one"
    return f"{one} per {quantity.level}" + (f" in {quantity.unit}" if quantity.unit else ", unit unknown")


def _quantity(known: Quantity, request: LabelRequest) -> Quantity:
    """What the column holds: the user's word on the unit counts more than the format's."""
    unit = request.unit or known.unit
    if request.scaling == "/atom":
        unit = unit if unit.endswith("/atom") or not unit else f"{unit}/atom"
    if request.scaling == "*atoms":
        unit = unit.removesuffix("/atom")
    as_is = known.extensive and not request.unit.endswith("/atom")
    extensive = {"": as_is, "/atom": False, "*atoms": True}[request.scaling]
    place = request.unit == POSITION or (known.meaning == "position" and request.unit in ("", "Å"))
    if place:
        return Quantity(request.name, "Å", known.level, meaning="position")
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


def _of_free_atoms(
    values: NDArray[np.float64], mask: NDArray[np.bool_], entries: Sequence[Labelled]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The same without the places of held atoms: that they stay is known, and would count as a success."""
    starts = np.cumsum([0, *(e.n_atoms for e in entries)])
    held = [s + k for s, e in zip(starts[:-1], entries, strict=True) for k in e.held]
    values, mask = values.copy(), mask.copy()
    values[held], mask[held] = np.nan, False
    return values, mask


def _scaled(values: NDArray[np.float64], entries: Sequence[Labelled], request: LabelRequest) -> NDArray[np.float64]:
    if not request.scaling:
        return values
    counts = np.array([e.n_atoms for e in entries], dtype=np.float64)
    with np.errstate(over="ignore"):  # infinite then, and masked with a warning
        return values / counts if request.scaling == "/atom" else values * counts
