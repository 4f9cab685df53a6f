"""Energies of glasses beside those of another theory: by class of chemistry, and after an affine correction.

The classes are those of Table 1 of Aykol et al. (SynS & ML workshop, ICML 2023): the non-metal that is present, of
several the most electronegative; alloys have none. The correction that they mention, E' = a E + b, is fitted by least
squares to all pairs; what it is worth is told by compositions that it was not fitted to, one left out after the other.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystal_glass.composition import reduced, spelled
from crystalcli.contracts.host import Host
from crystalcli.vocabulary.errors import InputError, UsageError

Floats = NDArray[np.float64]
CLASSES = {
    "F": "fluorides", "O": "oxides", "Cl": "chlorides", "N": "nitrides", "Br": "bromides", "I": "iodides",
    "S": "sulfides", "Se": "selenides", "C": "carbides", "H": "hydrides", "P": "phosphides", "As": "arsenides",
    "Te": "tellurides", "Sb": "antimonides", "B": "borides", "Ge": "germanides", "Si": "silicides",
}  # fmt: skip
"""By the non-metal, the most electronegative (Pauling) first."""
ALLOYS, ELEMENTS = "alloys", "elements"
FEWEST = 3
"""Compositions that a line is fitted to at least, one more left out."""


def chemistry(symbols: Collection[str]) -> str:
    """The class of a composition of these elements; one element alone is none of Table 1."""
    if len(symbols) == 1:
        return ELEMENTS
    return next((name for symbol, name in CLASSES.items() if symbol in symbols), ALLOYS)


@dataclass(frozen=True)
class References:
    """Energies of another theory by the name of the box, eV/atom; of formation, or in the zero of the potential.

    Of structures the atoms by symbol, too.
    """

    energies: Mapping[str, float]
    formation: bool = False
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Errors:
    """Of some boxes, eV/atom: how many, of how many compositions, mean absolute, mean and root mean square difference.

    Differences are the potential's energies minus those of the reference.
    """

    boxes: int
    compositions: int
    mae: float
    mean: float
    rms: float


@dataclass(frozen=True)
class Line:
    """E' = slope E + offset: MAE before, after, and of compositions that were left out of the fit, eV/atom."""

    slope: float
    offset: float
    mae_before: float
    mae_after: float
    mae_left_out: float


def read_energies(path: Path, host: Host) -> References:
    """Energies of a CSV with a head ``id,energy`` or ``id,formation_energy`` (eV/atom), or of structures by their ids.

    Raises:
        UsageError, InputError: the file cannot be read, or a line has no id, a second of it, or no finite number.
    """
    if path.suffix.lower() != ".csv":
        return _of_structures(path, host)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read these energies: {problem}", path=path) from problem
    rows = csv.reader(lines)
    heads = [cell.strip().partition(" ")[0] for cell in next(rows, [])]
    kinds = [k for k in ("energy", "formation_energy") if k in heads]
    if "id" not in heads or len(kinds) != 1:
        raise UsageError("must have the columns id, and energy or formation_energy, in eV/atom", path=path, line=1)
    name, value = heads.index("id"), heads.index(kinds[0])
    energies: dict[str, float] = {}
    for number, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        try:
            key, energy = cells[name].strip(), float(cells[value])
        except (IndexError, ValueError):
            raise UsageError(f"has no id and {kinds[0]}", path=path, line=number) from None
        if key in energies or not math.isfinite(energy):
            raise UsageError(f"{key} stands twice, or has no finite energy", path=path, line=number)
        energies[key] = energy
    return References(energies, kinds[0] == "formation_energy")


def _of_structures(path: Path, host: Host) -> References:
    found: dict[str, float] = {}
    counts: dict[str, dict[str, int]] = {}
    for item in host.structures([str(path)]):
        if isinstance(item, InputError):
            raise item
        energy = item.labels.get("energy")
        if not isinstance(energy, (int, float)) or not math.isfinite(energy):
            raise InputError("has no energy to compare with", path=item.source)
        stem, _, again = item.id.rpartition("#")  # what a reader makes of an id that it meets again
        if again.isdigit() and stem in found:
            raise InputError(f"two structures are called {stem}", path=item.source)
        symbols = item.atoms.get_chemical_symbols()
        found[item.id], counts[item.id] = float(energy) / len(symbols), dict(Counter(symbols))
    return References(found, counts=counts)


def called_as(references: References, boxes: Iterable[str], path: Path) -> References:
    """The same, with ids as ``boxes`` are called: that of a box may name its elements in another order.

    Raises:
        UsageError: two of the ids are of one box.
    """
    names = {spelled(name): name for name in boxes}
    mine = {one: names.get(spelled(one), one) for one in references.energies}
    first: dict[str, str] = {}
    for theirs, name in mine.items():
        if (other := first.setdefault(name, theirs)) != theirs:
            raise UsageError(f"{other} and {theirs} are both the box {name}; leave one of them out", path=path)
    energies = {mine[k]: energy for k, energy in references.energies.items()}
    return replace(references, energies=energies, counts={mine[k]: c for k, c in references.counts.items()})


def refuse_other_atoms(references: References, boxes: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Structures that are called as a box must have its composition; energies count per atom, so other sizes may do.

    Raises:
        InputError: one has not.
    """
    for name, counts in references.counts.items():
        if name in boxes and reduced(dict(counts)) != reduced(dict(boxes[name])):
            mine, theirs = reduced(dict(boxes[name])), reduced(dict(counts))
            raise InputError(f"{name} is {theirs} there, and {mine} here: another composition", path=path)


def compared(rows: Sequence[Mapping[str, Any]], references: References) -> list[dict[str, Any]]:
    """Boxes that have a reference: id, formula, chemistry, energy, reference and difference, eV/atom.

    The energy is of the relaxed glass, of formation where the references are; of the last step where nothing was
    relaxed, which ``compared`` says.
    """
    found = []
    for row in rows:
        if row["status"] != "ok" or row["id"] not in references.energies:
            continue
        column = "formation_energy" if references.formation else "energy_relaxed"
        if row[column] is None:
            column = "formation_energy_md" if references.formation else "energy_md"
        if row[column] is None:
            continue
        reference = references.energies[row["id"]]
        made = {"id": row["id"], "formula": reduced(row["counts"]), "chemistry": chemistry(row["counts"])}
        made |= {"compared": column, "energy": row[column], "reference": reference}
        found.append({**made, "difference": row[column] - reference})
    return found


def errors(pairs: Sequence[Mapping[str, Any]]) -> Errors:
    """Of one pair or more."""
    off = np.array([p["difference"] for p in pairs])
    formulas = {p["formula"] for p in pairs}
    rms = float(np.sqrt((off * off).mean()))
    return Errors(len(off), len(formulas), float(np.abs(off).mean()), float(off.mean()), rms)


def by_chemistry(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Errors]:
    """Errors of each class, by the alphabet."""
    classes = sorted({p["chemistry"] for p in pairs})
    return {name: errors([p for p in pairs if p["chemistry"] == name]) for name in classes}


def corrected(pairs: Sequence[Mapping[str, Any]]) -> tuple[Line, Floats] | None:
    """The line, and what each pair is by the line that its composition was left out of; none of too few."""
    x, y = (np.array([p[k] for p in pairs]) for k in ("energy", "reference"))
    formulas = np.array([p["formula"] for p in pairs])
    if len(set(formulas)) <= FEWEST or float(np.ptp(x)) == 0.0:
        return None
    slope, offset = _line(x, y)
    apart = np.zeros_like(x)
    for one in sorted(set(formulas)):
        a, b = _line(x[formulas != one], y[formulas != one])
        apart[formulas == one] = a * x[formulas == one] + b
    after, out = np.abs(slope * x + offset - y), np.abs(apart - y)
    before = float(np.abs(x - y).mean())
    return Line(slope, offset, before, float(after.mean()), float(out.mean())), apart


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and offset by least squares; without spread the offset alone."""
    middle = x - x.mean()
    square = float((middle * middle).sum())
    slope = float((middle * (y - y.mean())).sum()) / square if square > 0.0 else 1.0
    return slope, float(y.mean() - slope * x.mean())


def summary(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Plain facts of a comparison, eV/atom: over all, by class, and the lines over all and in classes of enough."""
    lines = {}
    for name in ("all", *by_chemistry(pairs)):
        some = pairs if name == "all" else [p for p in pairs if p["chemistry"] == name]
        if (line := corrected(some)) is not None:
            lines[name] = asdict(line[0])
    classes = {name: asdict(e) for name, e in by_chemistry(pairs).items()}
    return {"all": asdict(errors(pairs)), "by_chemistry": classes, "affine": lines}
