"""After the quench: glasses are relaxed, and the crystals of their elements that energies count from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase
import ase.io
from ase.data import chemical_symbols

from crystal_glass.crystals import crystal_of
from crystal_glass.options import GlassOptions
from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run
from crystalcli.vocabulary.errors import NothingUsable, UsageError

RELAXED = "relaxed.extxyz"
GASES = {"H": 0.74, "N": 1.10, "O": 1.21, "F": 1.42, "Cl": 1.99}
"""Their references are molecules of two; how far apart these are before they are relaxed, Å."""
ROOM = 12.0
"""Å, of the box of a molecule."""


def relaxed(
    run: Run,
    request: Request,
    name: str,
    file: Path,
    cell: str,
    reporter: Host,
    steps: int = 0,
    pressure: float = 0.0,
) -> dict[str, tuple[ase.Atoms, Mapping[str, Any]]]:
    """What ``crystal relax`` makes of the structures of ``file``, by id: each with its row of the report.

    Those that could not be evaluated are left out. It takes ``steps`` moves at most; 0: those of the options. A free
    ``cell`` is at ``pressure``, GPa.
    """
    o: GlassOptions = request.options
    asked = {
        "structures": (str(file),),
        "potential": o.potential,
        "relaxer": o.relaxer,
        "cell": cell,
        "pressure": pressure,
        "fmax": o.fmax,
        "steps": steps or o.relax_steps,
        "batch_size": o.batch_size,
        **{key: getattr(o, key) for key in ("dtype", "device", "threads")},
    }
    parts = {k: v for k, v in request.parts.items() if k in ("potential", "relaxer")}
    try:
        report = run.child("relax", name, asked, parts, reporter=reporter)
    except NothingUsable:
        return {}
    rows = {row["id"]: row for row in report["rows"]}
    frames = ase.io.iread(run.path / name / RELAXED, index=":", format="extxyz")
    return {str(atoms.info["id"]): (atoms, rows[str(atoms.info["id"])]) for atoms in frames}


def reference_energies(
    run: Run, request: Request, symbols: Sequence[str], reporter: Host, *, stress: bool
) -> dict[str, float | None]:
    """Energy of an atom of each element, eV; none where there is no crystal to be relaxed.

    Args:
        run: around it.
        request: of ``crystal glass``.
        symbols: elements.
        reporter: hears of it.
        stress: whether the potential has one, without which cells stay as they were measured.
    """
    o: GlassOptions = request.options
    if o.references == "none":
        return dict.fromkeys(symbols)
    if o.references != "elements":
        given = read_references(Path(o.references))
        return {s: given.get(s) for s in symbols}
    found: dict[str, float | None] = dict.fromkeys(symbols)
    for kind, cell in (("crystals", "full" if stress else "none"), ("molecules", "none")):
        made = [a for s in symbols if (a := _reference(s, molecule=kind == "molecules")) is not None]
        if not made:
            continue
        file = run.path / "references" / f"{kind}.extxyz"
        text = io.StringIO()
        ase.io.write(text, made, format="extxyz")
        run.write(str(file.relative_to(run.path)), text.getvalue())
        for symbol, (atoms, row) in relaxed(run, request, f"references/{kind}", file, cell, reporter).items():
            if row["converged"]:
                found[symbol] = float(atoms.get_potential_energy()) / len(atoms)
    return found


def has_crystal(symbol: str) -> bool:
    """Whether there is something that the energy of an element can be found of."""
    return symbol in GASES or crystal_of(symbol) is not None


def _reference(symbol: str, *, molecule: bool) -> ase.Atoms | None:
    """The crystal or molecule an element is found as; none where it is the other kind, or nobody knows its crystal."""
    if molecule != (symbol in GASES):
        return None
    if not molecule:
        made = crystal_of(symbol)
    else:
        made = ase.Atoms([symbol, symbol], [(0, 0, 0), (0, 0, GASES[symbol])], cell=[ROOM] * 3, pbc=True)
    if made is not None:
        made.info = {"id": symbol}
    return made


def read_references(path: Path) -> dict[str, float]:
    """Energies of a CSV with a line ``element,eV`` for each; a head, and lines with ``#``, do not count.

    Raises:
        UsageError: the file cannot be read, or a line is no element and number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read these references: {problem}", path=path) from problem
    found: dict[str, float] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#") or (number == 1 and cells[0] not in chemical_symbols):
            continue
        try:
            symbol, energy = cells[0], float(cells[1])
        except (IndexError, ValueError):
            raise UsageError("is no line such as Ti,-7.83", path=path, line=number) from None
        if symbol not in chemical_symbols[1:] or symbol in found or not math.isfinite(energy):
            raise UsageError(f"{symbol} is no element, stands twice, or has no finite energy", path=path, line=number)
        found[symbol] = energy
    return found


def formation_energy(energy: float, counts: Mapping[str, int], references: Mapping[str, float | None]) -> float | None:
    """(E − Σ n_Z μ_Z)/N, eV an atom; none where the reference of an element is not known."""
    known = {s: references.get(s) for s in counts}
    if any(mu is None for mu in known.values()):
        return None
    total = sum(n * mu for s, n in counts.items() if (mu := known[s]) is not None)
    return (energy - total) / sum(counts.values())


def joined(images: Iterable[tuple[str, ase.Atoms]]) -> str:
    """Bare structures with their ids as extended XYZ; numbers read back as the same bits."""
    texts = []
    for name, atoms in images:
        cell = " ".join(repr(float(x)) for x in atoms.cell.array.ravel())
        head = f'Lattice="{cell}" Properties=species:S:1:pos:R:3 id="{name}" pbc="T T T"'
        rows = (f"{s} {x!r} {y!r} {z!r}" for s, (x, y, z) in zip(atoms.symbols, atoms.positions.tolist(), strict=True))
        texts.append("\n".join([str(len(atoms)), head, *rows]) + "\n")
    return "".join(texts)
