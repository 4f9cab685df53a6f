"""Writes the crystals beside this file: common ones, by lattice parameters and places of atoms at room temperature.

python examples/make_crystals.py [FOLDER]; lengths in Å, of R. W. G. Wyckoff, Crystal Structures (1963), rounded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ase.spacegroup import crystal


def main(folder: Path) -> None:
    """Write a CIF of each."""
    found = {
        "NaCl": crystal(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.640] * 3 + [90] * 3),
        "Si": crystal(["Si"], [(0, 0, 0)], spacegroup=227, cellpar=[5.431] * 3 + [90] * 3),
        "GaAs": crystal(["Ga", "As"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[5.653] * 3 + [90] * 3),
        "Al2O3": crystal(
            ["Al", "O"], [(0, 0, 0.352), (0.306, 0, 0.25)], spacegroup=167, cellpar=[4.759, 4.759, 12.991, 90, 90, 120]
        ),
        "TiO2": crystal(
            ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
        ),
        "SrTiO3": crystal(
            ["Sr", "Ti", "O"],
            [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
            spacegroup=221,
            cellpar=[3.905] * 3 + [90] * 3,
        ),
        "Ni3Al": crystal(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0)], spacegroup=221, cellpar=[3.572] * 3 + [90] * 3),
    }
    for name, atoms in found.items():
        atoms.write(folder / f"{name}.cif")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="where they are written")
    main(parser.parse_args().folder)
