"""Predictions → CSV, JSON lines, extended XYZ and other texts, written while they come."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.model.sigma_fit import UNCALIBRATED
from crystalcli.engine.run import files
from crystalcli.nouns.structures.constraints import along_axes, not_known
from crystalcli.prediction.rows import Row
from crystalcli.prediction.sites import magmom_line, moment_of, plain, pymatgen_structure
from crystalcli.prediction.structures import (
    START_CELL,
    calculator_of,
    cif_block,
    moved,
    needed_place,
    place_of,
    results_of,
)
from crystalcli.prediction.table import Table, fits
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.tables import csv_line, json_line
from crystalcli.vocabulary.texts import steers, xyz_word

ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".json": "pymatgen",
    ".magmom": "magmom",
    ".cif": "cif",
}


def format_of(output: Path | None, wish: str | None, *, people: bool = False) -> str:
    """Format by wish or by the ending of the output; for people a table.

    Raises:
        UsageError: an ending that says nothing.
    """
    if wish:
        return wish
    if output is None:
        return "table" if people else "csv"
    if output.suffix.lower() not in ENDINGS:
        said = did_you_mean(output.suffix.lower(), list(ENDINGS))
        raise UsageError(f"the ending '{output.suffix}' names no format ({said}); give --format", path=output)
    return ENDINGS[output.suffix.lower()]


def that_fits(kind: str, wish: str | None, quantities: Sequence[Quantity]) -> str:
    """The same format, or CSV where values do not fit into a table that nobody wished for.

    Raises:
        UsageError: somebody did.
    """
    if kind != "table" or fits(quantities):
        return kind
    if wish:
        raise UsageError("--format table is for one value per structure; give --format csv")
    return "csv"


class Writer:
    """Turns rows into text of one format; every text is whole lines.

    Args:
        kind: csv, table (for people), jsonl, extxyz, pymatgen (a JSON list of structures), magmom (lines for an
            INCAR) or cif (predicted structures, a block each). Extended XYZ holds the structures of a model that
            predicts positions.
        quantities: what the model predicts.
        calibrations: how the σ of each was calibrated, said wherever a σ is.
        says_domain: whether a column tells why a prediction is an extrapolation.
        labelled: targets whose true values have a column in tables; looked at when the first row comes.
        as_results: extended XYZ holds energies, forces, … as ASE's results rather than as ``predicted_NAME``.

    Attributes:
        without_column: rows of a table with a label that has no column.

    Raises:
        UsageError: no moments to make MAGMOM lines of, no positions to make structures of, or no results.
    """

    def __init__(
        self,
        kind: str,
        quantities: Sequence[Quantity],
        calibrations: Mapping[str, str] | None = None,
        *,
        says_domain: bool = False,
        labelled: Collection[str] = (),
        as_results: bool = False,
    ) -> None:
        if as_results and kind != "extxyz":
            raise UsageError(f"--as-results is for extended XYZ, not {kind}; give -o FILE.extxyz")
        self.kind, self.quantities, self.labelled = kind, quantities, labelled
        self.results = results_of(quantities) if as_results else {}
        self.calibrations, self.says_domain = calibrations or {}, says_domain
        self.sites = any(q.level == "site" for q in quantities)
        self.spreads: tuple[str, ...] | None = None
        self.n = self.without_column = 0
        self.moment = moment_of(quantities) if kind == "magmom" else None
        self.table = Table(quantities, self.calibrations) if kind == "table" else None
        self.place = needed_place(quantities) if kind == "cif" else place_of(quantities)

    def end(self) -> str:
        """What comes after the last structure."""
        if self.table is not None:
            return self.table.end()
        return "" if self.kind != "pymatgen" else "\n]\n" if self.n else "[]\n"

    def text(self, row: Row) -> str:
        """The lines of one structure, after the header if it is the first; of a table perhaps of several, or none."""
        self.n += 1
        if self.table is not None:
            return self.table.text(row)
        if self.moment is not None:
            return magmom_line(row, self.moment)
        if self.kind == "cif" and self.place is not None:
            return cif_block(row.id, moved(row, self.place))
        if self.kind == "pymatgen":
            return ("[\n" if self.n == 1 else ",\n") + json_line(pymatgen_structure(row, self.quantities)).rstrip("\n")
        if self.kind == "jsonl":
            return json_line(self.object(row))
        return self._extxyz(row) if self.kind == "extxyz" else self._csv(row)

    def _csv(self, row: Row) -> str:
        head = ""
        if self.spreads is None:
            self.spreads = tuple(dict.fromkeys(word for u in row.uncertainties.values() for word in u))
            self.labelled = frozenset(self.labelled)
            head = csv_line(self._header())
        self.without_column += not self.labelled >= row.labels.keys()  # type: ignore[operator] # frozen above
        return head + "".join(csv_line(r) for r in self._records(row))

    def _header(self) -> list[str]:
        cells = ["id"] + (["site", "element"] if self.sites else [])
        for q in self.quantities:
            unit = f" [{q.unit}]" if q.unit else ""
            cells += [q.name + part + unit for part in q.components]
            cells += [f"{q.name} P({w})" for w in (q.words if q.classes else ())]
            cells += [f"{q.name}{part} true{unit}" for part in q.components if q.name in self.labelled]
            cells += [f"{q.name}{part} {word}{unit}" for word in self.spreads or () for part in q.components]
            cells += [f"{q.name} calibration"] if self.spreads else []
        return cells + (["extrapolating"] if self.says_domain else [])

    def _records(self, row: Row) -> Iterator[list[Any]]:
        for k in range(len(row.atoms) if self.sites else 1):
            cells: list[Any] = [row.id] + ([k, row.atoms.symbols[k]] if self.sites else [])
            for q in self.quantities:
                value = row.values[q.name][k] if q.level == "site" else row.values[q.name]
                cells += [q.words[int(np.argmax(value))]] if q.classes else []
                cells += _cells(value)
                cells += _true_cells(row.labels.get(q.name), q, k) if q.name in self.labelled else []
                for word in self.spreads or ():
                    cells += _spread_cells(row.uncertainties.get(q.name, {}).get(word), q, k)
                cells += [self._calibration(row, q)] if self.spreads else []
            yield cells + ([row.extrapolating] if self.says_domain else [])

    def _calibration(self, row: Row, quantity: Quantity) -> str:
        """What the σ of ``quantity`` is worth; nothing where there is none."""
        return self.calibrations.get(quantity.name, UNCALIBRATED) if quantity.name in row.uncertainties else ""

    def object(self, row: Row) -> dict[str, Any]:
        """One structure as a JSON object."""
        found: dict[str, Any] = {"id": row.id, "source": row.source, "predictions": {}}
        if self.says_domain:
            found["extrapolating"] = row.extrapolating
        for q in self.quantities:
            value = np.asarray(row.values[q.name])
            entry: dict[str, Any] = {"value": plain(value), "unit": q.unit, "level": q.level}
            if q.classes:
                entry["probabilities"] = dict(zip(q.words, entry["value"], strict=True))
                entry["value"] = q.words[int(value.argmax())]
            entry |= {word: plain(u) for word, u in row.uncertainties.get(q.name, {}).items()}
            if self._calibration(row, q):
                entry["calibration"] = self._calibration(row, q)
            if q.name in row.labels:
                known = row.labels[q.name]
                entry["label"] = q.words[int(known)] if q.classes else plain(known)
            found["predictions"][q.name] = entry
        return found

    def _extxyz(self, row: Row) -> str:
        import ase.io

        place = None if self.results else self.place  # results are those of the structure that was given
        atoms = row.atoms.copy() if place is None else moved(row, place)
        cell = {START_CELL: atoms.info[START_CELL]} if place is not None and START_CELL in atoms.info else {}
        atoms = atoms if not_known(atoms) else along_axes(atoms)
        atoms.info = {"id": xyz_word(row.id), **cell}
        if row.extrapolating and self.says_domain:
            atoms.info["extrapolating"] = xyz_word(row.extrapolating)
        for q in self.quantities:
            name, value = f"predicted_{_key(q.name)}", np.asarray(row.values[q.name])
            if q.classes:
                atoms.info[name] = xyz_word(q.words[int(np.argmax(value))])
                atoms.info[f"{name}_probabilities"] = value
            elif q.name not in self.results and q != place:
                _put(atoms, q, name, value)
            if q.unit and q.name not in self.results and q != place:
                atoms.info[f"{name}_unit"] = xyz_word(q.unit)
            if self._calibration(row, q):
                atoms.info[f"{name}_calibration"] = xyz_word(self._calibration(row, q))
            for word, spread in row.uncertainties.get(q.name, {}).items():
                _put(atoms, q, f"{name}_{word}", np.asarray(spread))
            if q.name in row.labels:
                true = row.labels[q.name]
                true = np.array(xyz_word(q.words[int(true)])) if q.classes else np.asarray(true)
                _put(atoms, q, f"true_{_key(q.name)}", true)
        atoms.calc = calculator_of(row, self.results) if self.results else None
        text = io.StringIO()
        ase.io.write(text, atoms, format="extxyz")
        return text.getvalue()


def _put(atoms: ase.Atoms, quantity: Quantity, name: str, value: NDArray[Any]) -> None:
    """Keep a value with the structure or with its atoms; none that is not defined."""
    if quantity.level == "site":
        atoms.set_array(name, value)
    elif value.dtype.kind != "f" or np.isfinite(value).any():
        atoms.info[name] = value if value.ndim else value.item()


def _key(name: str) -> str:
    """The name of a target as a key of extended XYZ."""
    return "".join("_" if c.isspace() or c in ":=\"'" or steers(c) else c for c in name)


def _cells(value: Any) -> list[str | None]:
    """Cells of numbers; empty where there is none."""
    return [repr(float(v)) if np.isfinite(v) else None for v in np.atleast_1d(value)]


def _true_cells(label: Any, quantity: Quantity, k: int) -> list[str | None]:
    """Cells of a label, of atom ``k`` where it is one per site; empty where it is missing."""
    if label is not None and quantity.classes:
        return [quantity.words[int(label)]]
    return _spread_cells(label, quantity, k)


def _spread_cells(spread: Any, quantity: Quantity, k: int) -> list[str | None]:
    """Cells of one uncertainty or label, of atom ``k`` where it is one per site."""
    if spread is None:
        return [None] * len(quantity.components)
    return _cells(spread[k] if quantity.level == "site" else spread)


@contextmanager
def opened(output: Path, done: Callable[[Path], None]) -> Iterator[Callable[[str], object]]:
    """Yield ``write(text)`` into a file that appears under its name when it is whole.

    Args:
        output: the file.
        done: told, before it appears, where all that was written lies.
    """
    with files.replacing(output) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file.write
        done(temporary)
