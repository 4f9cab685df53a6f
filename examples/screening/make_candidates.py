"""Candidate phases of a few metals: fcc, bcc and hcp crystals decorated in all ways that a random search meets.

    python make_candidates.py candidates.extxyz elements.extxyz --elements Ag,Cu,Pd --count 300

Cells have up to six atoms; volumes, cells and positions are off, as those of a guess are.
"""

import argparse

import ase.build
import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT

LATTICE = {"Al": 4.05, "Ni": 3.52, "Cu": 3.61, "Pd": 3.89, "Ag": 4.09, "Pt": 3.92, "Au": 4.08}
"""fcc lattice constants, Å."""
SIZES = {"fcc": (2, 3, 4, 5, 6), "bcc": (2, 3, 4, 5, 6), "hcp": (1, 2, 3)}
"""Cells of the parent lattice in a candidate."""


def parent(name: str, volume: float) -> Atoms:
    """Primitive cell with ``volume`` Å³ per atom."""
    atoms = (
        ase.build.bulk("Cu", name, a=3.0, c=3.0 * np.sqrt(8 / 3))
        if name == "hcp"
        else ase.build.bulk("Cu", name, a=3.0)
    )
    atoms.set_cell(atoms.cell * (volume * len(atoms) / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
    return atoms


def decorated(rng: np.random.Generator, elements: list[str]) -> tuple[str, Atoms]:
    """A random supercell of a random lattice with random elements; at least two of them."""
    while True:
        name = str(rng.choice(list(SIZES)))
        n = int(rng.choice(SIZES[name]))
        a = int(rng.choice([k for k in range(1, n + 1) if n % k == 0]))
        c = int(rng.choice([k for k in range(1, n // a + 1) if (n // a) % k == 0]))
        b = n // a // c
        matrix = [[a, 0, 0], [rng.integers(b), b, 0], [rng.integers(c), rng.integers(c), c]]
        chosen = rng.choice(elements, size=rng.integers(2, len(elements) + 1), replace=False)
        atoms = ase.build.make_supercell(parent(name, 15.0), matrix)
        symbols = rng.choice(chosen, size=len(atoms))
        if len(set(symbols)) > 1:
            atoms.symbols = list(symbols)
            volume = np.mean([LATTICE[s] ** 3 / 4 for s in symbols]) * len(atoms)
            atoms.set_cell(atoms.cell * (volume / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
            ase.build.niggli_reduce(atoms)
            return name, atoms


def candidates(elements: list[str], count: int, seed: int) -> list[Atoms]:
    """So many different ones, shaken."""
    rng = np.random.default_rng(seed)
    seen: set[tuple[str, float]] = set()
    found: list[Atoms] = []
    while len(found) < count:
        name, atoms = decorated(rng, elements)
        atoms.calc = EMT()
        key = (atoms.get_chemical_formula(), round(atoms.get_potential_energy() / len(atoms), 5))
        if key in seen:
            continue
        seen.add(key)
        shaken = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        strain = np.eye(3) * rng.uniform(0.93, 1.10) + rng.normal(0, 0.03, (3, 3))
        shaken.set_cell(shaken.cell @ strain, scale_atoms=True)
        shaken.positions += rng.normal(0, 0.12, shaken.positions.shape)
        shaken.info["id"] = f"{name}-{len(found):04d}"
        found.append(shaken)
    return found


def pure(elements: list[str]) -> list[Atoms]:
    """The elements in fcc, from which formation energies are counted."""
    made = []
    for symbol in elements:
        atoms = ase.build.bulk(symbol, "fcc", a=LATTICE[symbol])
        atoms.info["id"] = symbol
        made.append(atoms)
    return made


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates")
    parser.add_argument("elements_file")
    parser.add_argument("--elements", default="Ag,Cu,Pd")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    symbols = args.elements.split(",")
    ase.io.write(args.candidates, candidates(symbols, args.count, args.seed), columns=["symbols", "positions"])
    ase.io.write(args.elements_file, pure(symbols), columns=["symbols", "positions"])


if __name__ == "__main__":
    main()
