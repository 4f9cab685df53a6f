"""Predictions → CSV, JSON lines, extended XYZ and other texts, written while they come."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from crystalcli.mechanisms.models.sigma_fit import UNCALIBRATED
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.tables import csv_line, json_line
from crystalcli.mechanisms.structure_files.reading import Failure
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.predict.prediction import Row
from crystalcli.workflows.predict.prediction_sites import magmom_line, moment_of, pymatgen_structure

ENDINGS = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".json": "pymatgen",
    ".magmom": "magmom",
}


def format_of(output: Path | None, wish: str) -> str:
    """Format by wish or by the ending of the output.

    Raises:
        UsageError: an ending that says nothing.
    """
    if wish:
        return wish
    if output is None:
        return "csv"
    if output.suffix.lower() not in ENDINGS:
        said = did_you_mean(output.suffix.lower(), list(ENDINGS))
        raise UsageError(f"the ending '{output.suffix}' names no format ({said}); give --format", path=output)
    return ENDINGS[output.suffix.lower()]


class Writer:
    """Turns rows into text of one format; every text is whole lines.

    Args:
        kind: csv, jsonl, extxyz, pymatgen (a JSON list of structures) or magmom (lines for an INCAR).
        quantities: what the model predicts.
        calibrations: how the σ of each was calibrated, said wherever a σ is.
        says_domain: whether a column tells why a prediction is an extrapolation.

    Raises:
        UsageError: no moments to make MAGMOM lines of.
    """

    def __init__(
        self,
        kind: str,
        quantities: Sequence[Quantity],
        calibrations: Mapping[str, str] | None = None,
        *,
        says_domain: bool = False,
    ) -> None:
        self.kind, self.quantities = kind, quantities
        self.calibrations, self.says_domain = calibrations or {}, says_domain
        self.sites = any(q.level == "site" for q in quantities)
        self.spreads: tuple[str, ...] | None = None
        self.n = 0
        self.moment = moment_of(quantities) if kind == "magmom" else None

    def end(self) -> str:
        """What comes after the last structure."""
        return "" if self.kind != "pymatgen" else "\n]\n" if self.n else "[]\n"

    def text(self, row: Row) -> str:
        """The lines of one structure, after the header if it is the first."""
        self.n += 1
        if self.moment is not None:
            return magmom_line(row, self.moment)
        if self.kind == "pymatgen":
            return ("[\n" if self.n == 1 else ",\n") + json_line(pymatgen_structure(row, self.quantities)).rstrip("\n")
        if self.kind == "jsonl":
            return json_line(self.object(row))
        if self.kind == "extxyz":
            return self._extxyz(row)
        head = ""
        if self.spreads is None:
            self.spreads = tuple(dict.fromkeys(word for u in row.uncertainties.values() for word in u))
            head = csv_line(self._header())
        return head + "".join(csv_line(r) for r in self._records(row))

    def _header(self) -> list[str]:
        cells = ["id"] + (["site", "element"] if self.sites else [])
        for q in self.quantities:
            unit = f" [{q.unit}]" if q.unit else ""
            cells += [q.name + part + unit for part in q.components]
            cells += [f"{q.name} P({w})" for w in (q.words if q.classes else ())]
            cells += [f"{q.name}{part} {word}{unit}" for word in self.spreads or () for part in q.components]
            cells += [f"{q.name} calibration"] if self.spreads else []
        return cells + (["extrapolating"] if self.says_domain else [])

    def _records(self, row: Row) -> Iterator[list[Any]]:
        for k in range(len(row.atoms) if self.sites else 1):
            cells: list[Any] = [row.id] + ([k, row.atoms.symbols[k]] if self.sites else [])
            for q in self.quantities:
                value = row.values[q.name][k] if q.level == "site" else row.values[q.name]
                cells += [q.words[int(np.argmax(value))]] if q.classes else []
                cells += [repr(float(v)) for v in np.atleast_1d(value)]
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
            entry: dict[str, Any] = {"value": _plain(value), "unit": q.unit, "level": q.level}
            if q.classes:
                entry["probabilities"] = dict(zip(q.words, entry["value"], strict=True))
                entry["value"] = q.words[int(value.argmax())]
            entry |= {word: _plain(u) for word, u in row.uncertainties.get(q.name, {}).items()}
            if self._calibration(row, q):
                entry["calibration"] = self._calibration(row, q)
            if q.name in row.labels:
                known = row.labels[q.name]
                entry["label"] = q.words[int(known)] if q.classes else _plain(known)
            found["predictions"][q.name] = entry
        return found

    def _extxyz(self, row: Row) -> str:
        import ase.io

        atoms = row.atoms.copy()
        atoms.info = {"id": visible(row.id)}
        if row.extrapolating and self.says_domain:
            atoms.info["extrapolating"] = row.extrapolating
        for q in self.quantities:
            name, unit = f"predicted_{q.name}", f"predicted_{q.name}_unit"
            if q.level == "site":
                atoms.set_array(name, np.asarray(row.values[q.name]))
            elif q.classes:
                atoms.info[name] = q.words[int(np.argmax(row.values[q.name]))]
                atoms.info[f"{name}_probabilities"] = row.values[q.name]
            else:
                atoms.info[name] = row.values[q.name]
            if q.unit:
                atoms.info[unit] = q.unit
            if self._calibration(row, q):
                atoms.info[f"{name}_calibration"] = self._calibration(row, q)
            for word, spread in row.uncertainties.get(q.name, {}).items():
                if q.level == "site":
                    atoms.set_array(f"predicted_{q.name}_{word}", np.asarray(spread))
                else:
                    atoms.info[f"predicted_{q.name}_{word}"] = spread
        text = io.StringIO()
        ase.io.write(text, atoms, format="extxyz")
        return text.getvalue()


def _plain(values: Any) -> Any:
    """Numbers as JSON has them: what is not known is null."""
    numbers = np.asarray(values)
    found = numbers.astype(object)
    found[~np.isfinite(numbers)] = None
    return found.tolist()


def _spread_cells(spread: Any, quantity: Quantity, k: int) -> list[str | None]:
    """Cells of one uncertainty, of atom ``k`` where it is one per site."""
    if spread is None:
        return [None] * len(quantity.components)
    return [repr(float(v)) for v in np.atleast_1d(spread[k] if quantity.level == "site" else spread)]


def visible(text: str) -> str:
    """``text`` with pictures (␊) in place of line ends and other controls: an extended XYZ header is one line."""
    return "".join(
        c if c.isprintable() else chr(0x2400 + ord(c)) if ord(c) < 32 else "\N{REPLACEMENT CHARACTER}" for c in text
    )


@contextmanager
def opened(output: Path | None, stdout: IO[str], *, overwrite: bool) -> Iterator[Callable[[str], object]]:
    """Yield ``write(text)``: to stdout, or to a file that appears under its name when it is whole."""
    if output is None:
        yield stdout.write
        return
    files.refuse_to_overwrite(output, overwrite)
    with files.replacing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file.write


def failure_line(failure: Failure) -> str:
    """One line of failures.jsonl."""
    return json_line(
        {
            "id": failure.id,
            "path": failure.path,
            "stage": failure.stage,
            "code": failure.code,
            "reason": failure.reason,
        }
    )
