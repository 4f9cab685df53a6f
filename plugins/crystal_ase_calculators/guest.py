"""Calculators of others: found or said to be missing, kept from what is not theirs, and told what they are made of."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distributions, packages_distributions, requires, version
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.calculator import all_changes

from crystalcli.vocabulary.errors import MAX_LINE, CrystalError, EnvironmentProblem, what_happened

APART = 20.0
"""Å between what does not repeat and its images: farther than a potential sees."""


class Guest:
    """An ASE calculator of somebody else.

    What it prints is not heard (stdout is for results), and a default precision of torch that it sets is its own.

    Args:
        calculator: of ASE.
        packages: distributions that it is made of.
        known_elements: atomic numbers; empty: it does not say.
        crystals: it is given crystals only, molecules and slabs :func:`boxed`.
        apart: Å that their images are apart.
        made_of: more plain values that say what it computes with: hashes of weights and files.

    Attributes:
        made_of: with the versions of ``packages``.
    """

    def __init__(
        self,
        calculator: Any,
        packages: Sequence[str],
        known_elements: frozenset[int] = frozenset(),
        *,
        crystals: bool = False,
        apart: float = APART,
        **made_of: Any,
    ) -> None:
        self.calculator, self.known_elements = calculator, known_elements
        self.crystals, self.apart = crystals, apart
        self.implemented_properties = tuple(calculator.implemented_properties)
        self.made_of = {"packages": versions([*packages, "ase"]), **made_of}
        self.results: dict[str, Any] = {}

    def reset(self) -> None:
        """Forget the last structure."""
        self.results = {}
        if hasattr(self.calculator, "reset"):
            self.calculator.reset()

    def calculate(
        self,
        atoms: ase.Atoms,
        properties: Sequence[str] = ("energy", "forces"),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Ask it about ``atoms``."""
        given = atoms
        if self.crystals and not atoms.pbc.all():
            given = boxed(atoms, self.apart)
            given.pbc = True
        with unheard():
            if hasattr(self.calculator, "calculate"):
                self.calculator.calculate(given, list(properties), list(system_changes))
                self.results = dict(self.calculator.results)
            else:
                self.results = {p: self.calculator.get_property(p, given) for p in properties}
        of_the_cell(self.results, given, atoms)


def boxed(atoms: ase.Atoms, apart: float = APART) -> ase.Atoms:
    """The same atoms, along what does not repeat in a box whose walls they do not reach.

    Packages take a slab for a molecule, divide by a volume of their own, know no crystal without a cell, or lose atoms
    outside of it. Along the box the structure may be taken for periodic.

    Args:
        atoms: any; a crystal comes back as it is.
        apart: Å from the last atom to the image of the first.
    """
    if atoms.pbc.all():
        return atoms
    made = atoms.copy()
    made.cell[~atoms.pbc] = 0.0
    made.cell = made.cell.complete()  # by unit vectors at right angles to the others
    for k in np.flatnonzero(~atoms.pbc):
        along = made.positions @ made.cell[k]
        long = apart * np.ceil(np.ptp(along) / apart + 1.0)  # of few lengths: some begin anew with every cell
        made.positions += 0.5 * (long - along.min() - along.max()) * made.cell[k]
        made.cell[k] *= long
    return made


def of_the_cell(results: dict[str, Any], box: ase.Atoms, atoms: ase.Atoms) -> None:
    """Make a stress in ``box`` one of ``atoms`` in the cell that they have; none without a volume."""
    if atoms.cell.rank < 3:
        results.pop("stress", None)
    elif results.get("stress") is not None and box is not atoms:
        results["stress"] = np.asarray(results["stress"]) * (box.get_volume() / atoms.get_volume())


def imported(module: str, package: str, owner: str) -> Any:
    """The module of a package that may not be there.

    Raises:
        EnvironmentProblem: it is not, or cannot be loaded; says how to get it.
    """
    try:
        with unheard():
            return importlib.import_module(module)
    except ModuleNotFoundError as problem:
        missing = problem.name or module
        if missing == module.partition(".")[0]:
            raise EnvironmentProblem(f"calculator {owner} needs {package}: pip install {package}") from problem
        own = missing.partition(".")[0] == module.partition(".")[0]
        cure = "" if own else _cure(package, missing)
        said = f"calculator {owner}: {package} finds no {missing}; "
        raise EnvironmentProblem(said + (cure or f"another version may: pip install -U {package}")) from problem
    except (Exception, SystemExit) as problem:  # a library that is not found, another torch, …
        said = f"calculator {owner}: {package} is there, but fails on loading: {what_happened(problem)}"
        raise EnvironmentProblem(said) from problem


def _cure(package: str, missing: str) -> str:
    """What helps a package that is there and finds no module ``missing`` of another; empty where nobody knows."""
    if lacking := _lacking(package):
        return f"it needs what is not installed: pip install {' '.join(lacking)}"
    if owner := _owner(missing):
        return f"{owner} should have it, and is not whole: pip install --force-reinstall {owner}"
    return ""


def _owner(module: str) -> str:
    """The distribution that says it has ``module``, whether the file is there or not; empty if none does."""
    own = re.compile(rf"^{re.escape(module.replace('.', '/'))}(/|\.)", re.MULTILINE)
    return next((d.metadata["Name"] for d in distributions() if own.search(d.read_text("RECORD") or "")), "")


def _lacking(package: str) -> list[str]:
    """Distributions that ``package`` says it needs here, and that are not installed."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires(package) or ()]
    except (PackageNotFoundError, ValueError):
        return []
    names = dict.fromkeys(r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""}))
    return [name for name in names if not _installed(name)]


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


@contextlib.contextmanager
def loading(owner: str, what: str, cure: str) -> Iterator[None]:
    """While a network is fetched and built.

    Args:
        owner: the calculator's name.
        what: is loaded.
        cure: what to do where that fails.

    Raises:
        EnvironmentProblem: anything goes wrong inside.
    """
    try:
        with unheard():
            yield
    except CrystalError:
        raise
    except (Exception, SystemExit) as problem:
        first, begin = what_happened(problem).strip().split("\n", 1)[0], f"calculator {owner} cannot load {what}: "
        room = max(MAX_LINE - len(begin) - len(cure) - len("; "), 40)  # a line is cut, but not its cure
        said = f"{begin}{first[:room]}; {cure}"
        raise EnvironmentProblem(said) from problem


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Nothing printed reaches stdout, no warning and no log is shown, and torch's default precision comes back."""
    import torch

    before, logged = torch.get_default_dtype(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logged)
        torch.set_default_dtype(before)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of distributions; ``unknown`` of what is no distribution."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def distribution(module: str) -> str:
    """The distribution that a module is of; the module's own name where it is of none."""
    top = module.partition(".")[0]
    return next(iter(packages_distributions().get(top, [top])))


def weights(*networks: Any) -> str:
    """SHA-256 of all weights of torch modules, by name: the same wherever they were loaded from."""
    import torch

    digest = hashlib.sha256()
    for network in networks:
        for name, value in sorted(network.state_dict().items()):
            if isinstance(value, torch.Tensor):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
                digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def of_file(path: Path) -> str:
    """SHA-256 of a file."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def numbers(symbols: Sequence[str]) -> frozenset[int]:
    """Atomic numbers of what are elements among ``symbols``."""
    from ase.data import atomic_numbers

    return frozenset(atomic_numbers[s] for s in symbols if atomic_numbers.get(s))
