"""Lattice constant, bulk modulus, elastic constants and phonons of a cubic crystal, by any potential.

    python properties.py POTENTIAL Si diamond 5.43
    python properties.py emt Cu fcc 3.6 --repeats 0

POTENTIAL is a model file, a run folder, or a calculator of ``crystal plugins list``. ``crystal predict`` compares
energies and forces with labels; this script looks at what nobody trained on.
"""

from __future__ import annotations

import argparse
import json
import tempfile

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.eos import EquationOfState
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.phonons import Phonons
from ase.units import GPa

from crystalcli import load_potential

VOLUMES = np.linspace(0.94, 1.06, 9)
"""Of the equilibrium volume, for the equation of state."""
STRAIN = 0.005
"""Of the finite differences of the stress. Atoms are relaxed in the strained cell."""
THZ = 241.79893
"""of one eV"""


def with_calculator(atoms: ase.Atoms, calculator: Calculator) -> ase.Atoms:
    """A copy that the calculator works on."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms


def relaxed(atoms: ase.Atoms, calculator: Calculator, *, cell: bool) -> ase.Atoms:
    """Positions, and the cell if asked, at the minimum of the energy (largest force 1e-4 eV/Å)."""
    atoms = with_calculator(atoms, calculator)
    BFGS(FrechetCellFilter(atoms) if cell else atoms, logfile=None).run(fmax=1e-4, steps=500)
    return atoms


def bulk_modulus(atoms: ase.Atoms, calculator: Calculator) -> float:
    """GPa, from the equation of state of F. Birch, Phys. Rev. 71, 809 (1947), doi:10.1103/PhysRev.71.809."""
    volumes, energies = [], []
    for scale in VOLUMES:
        strained = with_calculator(atoms, calculator)
        strained.set_cell(atoms.cell * scale ** (1 / 3), scale_atoms=True)
        volumes.append(strained.get_volume())
        energies.append(strained.get_potential_energy())
    return float(EquationOfState(volumes, energies, eos="birchmurnaghan").fit()[2] / GPa)


def elastic_constants(atoms: ase.Atoms, calculator: Calculator) -> dict[str, float]:
    """C11, C12 and C44 of a cubic crystal, GPa, from central differences of the stress under strain."""
    stress = {}
    for name, (i, j) in {"xx": (0, 0), "yz": (1, 2)}.items():
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * STRAIN / (1 if i == j else 2)
            strain[j, i] = strain[i, j]
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            stress[name, sign] = relaxed(strained, calculator, cell=False).get_stress() / GPa
    along, shear = ((stress[n, 1] - stress[n, -1]) / (2 * STRAIN) for n in ("xx", "yz"))
    return {"C11": float(along[0]), "C12": float((along[1] + along[2]) / 2), "C44": float(shear[3])}


def phonons(atoms: ase.Atoms, calculator: Calculator, repeats: int) -> dict[str, list[float]]:
    """Frequencies at Γ, X and L, THz; imaginary ones are negative. Forces by finite displacements of 0.03 Å."""
    with tempfile.TemporaryDirectory() as folder:
        found = Phonons(atoms, calculator, supercell=(repeats,) * 3, delta=0.03, name=f"{folder}/phonon")
        found.run()
        found.read(acoustic=True)
        points = {"G": (0, 0, 0), "X": (0.5, 0, 0.5), "L": (0.5, 0.5, 0.5)}
        energies = found.band_structure(list(points.values()), verbose=False)
    return {name: [round(float(e) * THZ, 3) for e in row] for name, row in zip(points, energies, strict=True)}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("potential")
    parser.add_argument("element")
    parser.add_argument("structure", choices=("fcc", "bcc", "diamond"))
    parser.add_argument("lattice_constant", type=float, help="to start from, Å")
    parser.add_argument("--repeats", type=int, default=4, help="of the primitive cell for phonons; 0: no phonons")
    given = parser.parse_args()
    calculator = load_potential(given.potential)
    cubic = relaxed(bulk(given.element, given.structure, a=given.lattice_constant, cubic=True), calculator, cell=True)
    a0 = float(np.cbrt(cubic.get_volume()))
    report: dict[str, object] = {
        "a0_A": a0,
        "energy_eV_per_atom": cubic.get_potential_energy() / len(cubic),
        "bulk_modulus_GPa": bulk_modulus(cubic, calculator),
        "elastic_GPa": elastic_constants(cubic, calculator),
    }
    if given.repeats:
        primitive = bulk(given.element, given.structure, a=a0)
        report["phonons_THz"] = phonons(primitive, calculator, given.repeats)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
