"""Numbers for people: a value with its unit, small energies in milli-units."""

from __future__ import annotations

from crystalcli.vocabulary.quantities import Quantity

MILLI = {"eV/atom": "meV/atom", "eV": "meV", "eV/Å": "meV/Å"}
"""Units that have a smaller one which people use; below 0.1 the smaller one is shown."""


def unit_for(size: float, quantity: Quantity) -> tuple[float, str]:
    """Factor and unit in which a number of about ``size`` reads best."""
    if quantity.unit in MILLI and 0 < abs(size) < 0.1:
        return 1000.0, MILLI[quantity.unit]
    return 1.0, quantity.unit


def number(value: float) -> str:
    """Four significant digits, without an exponent where it can be."""
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3e}"


def shorter(text: str, digits: int) -> str:
    """A number with a point in so many significant digits; any other text as it is."""
    try:
        return f"{float(text):.{digits}g}" if "." in text else text
    except ValueError:
        return text


def shown(value: float, quantity: Quantity) -> str:
    """``45.2 meV/atom``."""
    factor, unit = unit_for(value, quantity)
    return f"{number(value * factor)} {unit}".rstrip()


def steady(value: float, quantity: Quantity) -> str:
    """Like :func:`shown` in a unit that does not depend on the size, for lines below each other."""
    factor, unit = (1000.0, MILLI[quantity.unit]) if quantity.unit in MILLI else (1.0, quantity.unit)
    return f"{number(value * factor)} {unit}".rstrip()
