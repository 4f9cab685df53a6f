"""``vasprun.xml`` of VASP, step by step: structures, energies, forces and stress; never an entity.

Format: https://www.vasp.at/wiki/index.php/Vasprun.xml. Energies are taken as ASE takes them: ``energy`` is that for
σ → 0, ``free_energy`` the one that forces and stress belong to. What the file gives for a whole step holds the PV of
PSTRESS and, for σ → 0, a known fault of VASP, so the difference of the last electronic step counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

import ase
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from crystalcli.nouns import cells
from crystalcli.nouns.structures.element_words import no_element
from crystalcli.nouns.structures.entry import Entry, alone
from crystalcli.nouns.structures.numbers import no_number, number_in
from crystalcli.nouns.structures.offered import ASE_QUANTITIES, Offered, entry_of, voigt
from crystalcli.nouns.structures.poscar import constraints
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.nouns.structures.text import open_bytes, where
from crystalcli.vocabulary.errors import InputError, UnsafeInput
from crystalcli.vocabulary.units import GPA

ENERGIES = "VASP: energy is that for σ → 0, forces and stress belong to free_energy; stress in eV/Å³, tension positive"
_WANTED = ("parameters", "atominfo", "structure", "calculation")
_PASSED_OVER = ("eigenvalues", "dos", "projected", "dielectricfunction", "orbital", "time")
"""Large, and of no use here."""
_BLOCK = 2**18

Floats = NDArray[np.float64]


def read(path: Path, _options: ReadOptions = DEFAULTS) -> Iterator[Entry | InputError]:
    """Yield every step; a step that is damaged is yielded as its error, a file that breaks off ends with one.

    Raises:
        InputError: no XML of VASP, or no step in it. UnsafeInput: it defines entities.
    """
    run, steps, held = _Run(), 0, None
    try:
        for element in _elements(path):
            if element.tag != "calculation":
                run.take(element)
                continue
            if held is not None:
                yield held
            held, steps = _step(run, element, path, steps), steps + 1
    except expat.ExpatError as problem:
        said = f"breaks off after {steps} whole steps" if steps else "is no whole XML"
        broken = InputError(f"{said}: {expat.ErrorString(problem.code)}", path=path, line=problem.lineno, code="syntax")
        if not steps:
            raise broken from None
        if held is not None:
            yield held
        yield broken
        return
    if held is None:
        raise InputError("holds no calculation of VASP", path=path, code="no-atoms")
    yield held if steps > 1 or isinstance(held, InputError) else alone(held, path)


@dataclass
class _Run:
    """What the steps share."""

    numbers: list[int] = field(default_factory=list)
    held: NDArray[np.bool_] | None = None
    settings: dict[str, float] = field(default_factory=dict)

    def take(self, element: ElementTree.Element) -> None:
        if element.tag == "parameters":
            for item in element.iter("i"):
                value = number_in(item.text or "") if item.get("type", "float") in ("float", "int") else None
                if value is not None:
                    self.settings[item.get("name", "")] = value
        elif element.tag == "atominfo":
            symbols = [(row.findtext("c") or "").strip() for row in element.findall("array[@name='atoms']/set/rc")]
            wrong = [s for s in symbols if atomic_numbers.get(s, 0) < 1]
            if wrong:
                raise InputError(no_element(wrong[0]), code="element")
            self.numbers = [atomic_numbers[s] for s in symbols]
        elif element.get("name") == "initialpos":
            flags = [(v.text or "").split() for v in element.findall("varray[@name='selective']/v")]
            if flags and all(len(row) == 3 for row in flags):
                self.held = np.array([[word.strip(".").upper().startswith("F") for word in row] for row in flags])


def _elements(path: Path) -> Iterator[ElementTree.Element]:
    """The elements below the root that are wanted, each when it is whole."""
    parser = _Parser(path)
    with open_bytes(path) as file:
        while True:
            block = file.read(_BLOCK)
            parser.expat.Parse(block, not block)
            yield from parser.done
            parser.done.clear()
            if not block:
                return


class _Parser:
    """Expat with no entity and no document type; a file that has them tries to do more than hold data."""

    def __init__(self, path: Path) -> None:
        self.path, self.depth, self.skipped = path, 0, 0
        self.done: list[ElementTree.Element] = []
        self.builder: ElementTree.TreeBuilder | None = None
        self.expat = expat.ParserCreate()
        self.expat.buffer_text = True
        self.expat.StartElementHandler = self._start
        self.expat.EndElementHandler = self._end
        self.expat.CharacterDataHandler = self._text
        self.expat.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: Any) -> NoReturn:
        raise UnsafeInput("defines a document type or entities, as VASP does not", path=self.path, code="unsafe")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and tag != "modeling":
            raise InputError(f"is XML of another kind (<{tag[:40]}>), not VASP's", path=self.path, code="syntax")
        if self.depth == 2 and tag in _WANTED:
            self.builder = ElementTree.TreeBuilder()
        if self.skipped or tag in _PASSED_OVER:
            self.skipped += 1
        elif self.builder is not None:
            self.builder.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.depth -= 1
        if self.skipped:
            self.skipped -= 1
            return
        if self.builder is None:
            return
        self.builder.end(tag)
        if self.depth == 1:
            self.done.append(self.builder.close())
            self.builder = None

    def _text(self, text: str) -> None:
        if self.builder is not None and not self.skipped:
            self.builder.data(text)


def _step(run: _Run, element: ElementTree.Element, path: Path, index: int) -> Entry | InputError:
    try:
        return _entry(run, element, path, index)
    except InputError as problem:
        return InputError(f"step {index}: {problem.reason}", path=path, code=problem.code or "syntax")


def _entry(run: _Run, element: ElementTree.Element, path: Path, index: int) -> Entry:
    n = len(run.numbers)
    cell = _rows(element, "structure/crystal/varray[@name='basis']", "basis", 3)
    places = _rows(element, "structure/varray[@name='positions']", "positions", n)
    if cell is None or places is None:
        raise InputError("has no structure")
    atoms = ase.Atoms(numbers=run.numbers, cell=cell, positions=places @ cell, pbc=True)
    if run.held is not None and run.held.shape == (n, 3) and run.held.any():
        atoms.set_constraint(constraints(run.held, cell))
    results: dict[str, Any] = _energies(run, element, abs(cells.volume(cell)))
    forces = _rows(element, "varray[@name='forces']", "forces", n)
    stress = _rows(element, "varray[@name='stress']", "stress", 3)
    if forces is not None:
        results["forces"] = forces
    if stress is not None:  # kbar, compression positive
        tensor = voigt(0.5 * (stress + stress.T))
        results["stress"] = None if tensor is None else -0.1 * GPA * tensor + 0.0
    offered = Offered(n, cell, notes=[ENERGIES])
    offered.take(results, ASE_QUANTITIES, ordered=True)
    warnings = unconverged(_electronic(element), run.settings.get("NELM"), run.settings.get("EDIFF", 0.0))
    return entry_of(offered, f":{index}", atoms, where(path, index), warnings)


def unconverged(energies: list[float], most: float | None, limit: float) -> tuple[str, ...]:
    """A warning if there are ``most`` electronic steps and the last two energies differ by more than ``limit``."""
    if most is None or len(energies) < max(most, 2) or abs(energies[-1] - energies[-2]) <= abs(limit):
        return ()
    return (f"electronic steps not converged after NELM = {most:g}",)


def _electronic(element: ElementTree.Element) -> list[float]:
    return [_number(e, "e_fr_energy") for e in element.findall("scstep/energy")]


def _energies(run: _Run, element: ElementTree.Element, volume: float) -> dict[str, float]:
    whole, parts = element.find("energy"), element.findall("scstep/energy")
    if whole is None:
        raise InputError("has no energy")
    pv = 0.1 * GPA * run.settings.get("PSTRESS", 0.0) * volume
    free = _number(whole, "e_fr_energy") - pv
    last = parts[-1] if parts else whole
    return {"energy": free + _number(last, "e_0_energy") - _number(last, "e_fr_energy"), "free_energy": free}


def _number(element: ElementTree.Element, name: str) -> float:
    text = element.findtext(f"i[@name='{name}']") or ""
    value = number_in(text.strip())
    if value is None:
        raise InputError(f"{name} is {no_number(text)}")
    return value


def _rows(element: ElementTree.Element, place: str, name: str, n: int) -> Floats | None:
    """(n, 3); none if there is no such array."""
    found = element.find(place)
    if found is None:
        return None
    rows = [[(number_in(w), w) for w in (v.text or "").split()] for v in found.findall("v")]
    for row in rows:
        for number, word in row:
            if number is None:
                raise InputError(f"{name}: {no_number(word)}")
    if len(rows) != n or any(len(row) != 3 for row in rows):
        raise InputError(f"{name} has {len(rows)} rows, {n} of three numbers are needed")
    return np.array([[number for number, _ in row] for row in rows], dtype=np.float64)
