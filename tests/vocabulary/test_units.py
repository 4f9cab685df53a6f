"""One source of constants: as scipy.constants and ASE have them, and nobody keeps another."""

import re
from pathlib import Path

import ase.units
import pytest
from scipy import constants

from crystalcli.vocabulary import units

ROOT = Path(__file__).parents[2]
EXACT = {
    "ELEMENTARY_CHARGE": constants.e,
    "AVOGADRO": constants.N_A,
    "KB": constants.k / constants.e,
    "GPA": constants.giga * constants.angstrom**3 / constants.eV,
    "BAR": constants.bar * constants.angstrom**3 / constants.eV,
    "KJ_PER_MOL": constants.kilo / constants.N_A / constants.eV,
}
MEASURED = {
    "ATOMIC_MASS": constants.atomic_mass,
    "VACUUM_PERMITTIVITY": constants.epsilon_0,
    "ACCELERATION": constants.eV
    / constants.angstrom
    / constants.atomic_mass
    / (constants.angstrom / constants.femto**2),
    "COULOMB": constants.e**2 / (4 * constants.pi * constants.epsilon_0) / constants.eV / constants.angstrom,
    "BOHR": constants.physical_constants["Bohr radius"][0] / constants.angstrom,
    "HARTREE": constants.physical_constants["Hartree energy in eV"][0],
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_constants_are_those_of_scipy(name: str) -> None:
    assert getattr(units, name) == pytest.approx(EXACT[name], rel=1e-14)


@pytest.mark.parametrize("name", MEASURED)
def test_measured_constants_are_those_of_scipy(name: str) -> None:
    """SciPy may have a later adjustment: that of 2022 differs by at most 1.2e-9."""
    assert getattr(units, name) == pytest.approx(MEASURED[name], rel=2e-9)


def test_all_constants_are_compared() -> None:
    assert {n for n in vars(units) if n.isupper()} == EXACT.keys() | MEASURED.keys()


def test_the_adjustment_is_that_of_2018() -> None:
    """ASE's table of it; 2014 and 2022 differ by more."""
    u = ase.units.create_units("2018")
    assert 1.0 / u._amu == pytest.approx(1.0 / units.ATOMIC_MASS, rel=1e-15)
    assert u.Bohr == pytest.approx(units.BOHR, rel=3e-10)
    assert u.Hartree == pytest.approx(units.HARTREE, rel=3e-10)
    assert u.kB == pytest.approx(units.KB, rel=1e-14)
    assert u.GPa == pytest.approx(units.GPA, rel=1e-14)
    assert u.kJ / u.mol == pytest.approx(units.KJ_PER_MOL, rel=1e-14)
    assert u.fs**2 == pytest.approx(units.ACCELERATION, rel=1e-14)  # ASE's time is Å √(amu/eV)
    assert u._eps0 == pytest.approx(units.VACUUM_PERMITTIVITY, rel=3e-10)


def test_nobody_keeps_another() -> None:
    """Digits of these constants, or ASE's (of 2014), outside of the one file; ASE's time is its own unit."""
    digits = re.compile(
        r"8\.617\d|14\.399\d|160\.217\d|96\.485\d|6\.2415\d|9\.6485\d|0\.529177|27\.2113\d|units\.(?!fs\b)[A-Za-z]+\b"
    )
    found = []
    for folder in ("crystalcli", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            uses_ase = "from ase import units" in text or "ase.units" in text
            for hit in digits.finditer(text):
                if path.name != "units.py" and (uses_ase or not hit.group().startswith("units.")):
                    found.append(f"{path.relative_to(ROOT)}: {hit.group()}")
    assert not found, "\n".join(found)
