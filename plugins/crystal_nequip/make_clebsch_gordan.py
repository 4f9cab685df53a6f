"""Make ``clebsch_gordan.txt``: how the product of two sets of real spherical harmonics goes into a third.

Run ``python plugins/crystal_nequip/make_clebsch_gordan.py > plugins/crystal_nequip/clebsch_gordan.txt``. A line is
``l1 l2 l3 k1 k2 k3 SIGNp/q``: the component (k1, k2, k3), each from 0 to 2l, is ``± √(p/q)``; all others are zero.

The coefficients of complex harmonics are G. Racah's (Phys. Rev. 62, 438 (1942), doi:10.1103/PhysRev.62.438, Eq. 16),
those of the real ones follow by the change of basis below, which has the axes, signs and phases of e3nn (M. Geiger,
T. Smidt, arXiv:2207.09453); ``Σ C² = 1``. Their squares are rational numbers with small denominators, written as such.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from math import factorial

import numpy as np
from numpy.typing import NDArray

L_MAX = 3
LARGEST_DENOMINATOR = 10_000


def complex_coefficient(l1: int, m1: int, l2: int, m2: int, l3: int, m3: int) -> float:
    """⟨l1 m1 l2 m2 | l3 m3⟩ with the phases of Condon and Shortley: Racah's sum."""
    if m1 + m2 != m3:
        return 0.0
    f = factorial
    square = Fraction((2 * l3 + 1) * f(l1 + l2 - l3) * f(l1 - l2 + l3) * f(-l1 + l2 + l3), f(l1 + l2 + l3 + 1)) * (
        f(l1 + m1) * f(l1 - m1) * f(l2 + m2) * f(l2 - m2) * f(l3 + m3) * f(l3 - m3)
    )
    total = Fraction(0)
    for k in range(l1 + l2 - l3 + 1):
        below = (k, l1 + l2 - l3 - k, l1 - m1 - k, l2 + m2 - k, l3 - l2 + m1 + k, l3 - l1 - m2 + k)
        if min(below) >= 0:
            total += Fraction((-1) ** k, int(np.prod([f(n) for n in below], dtype=object)))
    return float(total) * math.sqrt(square)


def real_to_complex(degree: int) -> NDArray[np.complex128]:
    """Q, ``Y_complex = Q Y_real``; m from −l to l, and the phase ``(−i)^l`` that makes all coefficients real."""
    q = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=complex)
    q[degree, degree] = 1.0
    for m in range(1, degree + 1):
        q[degree - m, degree + m], q[degree - m, degree - m] = 0.5**0.5, -1j * 0.5**0.5
        q[degree + m, degree + m], q[degree + m, degree - m] = (-1) ** m * 0.5**0.5, 1j * (-1) ** m * 0.5**0.5
    return (-1j) ** degree * q


def coefficients(l1: int, l2: int, l3: int) -> NDArray[np.float64]:
    """C (2l1 + 1, 2l2 + 1, 2l3 + 1) of real harmonics, ``Σ C² = 1``."""
    made = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1, m2 in product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if abs(m1 + m2) <= l3:
            made[m1 + l1, m2 + l2, m1 + m2 + l3] = complex_coefficient(l1, m1, l2, m2, l3, m1 + m2)
    q1, q2, q3 = real_to_complex(l1), real_to_complex(l2), real_to_complex(l3)
    turned = np.einsum("ij,kl,mn,ikn->jlm", q1, q2, q3.conj().T, made)
    assert np.abs(turned.imag).max() < 1e-12
    found: NDArray[np.float64] = turned.real / np.linalg.norm(turned.real)
    return found


def table() -> str:
    """The text of the file.

    Raises:
        ValueError: a square that is no such rational number, or squares that do not add up to one.
    """
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    for l1, l2, l3 in product(range(L_MAX + 1), repeat=3):
        if not abs(l1 - l2) <= l3 <= l1 + l2:
            continue
        found, total = coefficients(l1, l2, l3), Fraction(0)
        for place in product(*(range(2 * k + 1) for k in (l1, l2, l3))):
            value = found[place]
            if abs(value) < 1e-12:
                continue
            square = Fraction(value**2).limit_denominator(LARGEST_DENOMINATOR)
            if abs(float(square) - value**2) > 1e-14:
                raise ValueError(f"C{place} of {l1} {l2} {l3} is {value}, its square no simple fraction")
            total += square
            yield f"{l1} {l2} {l3} {' '.join(map(str, place))} {'-' if value < 0 else '+'}{square}"
        if total != 1:
            raise ValueError(f"squares of {l1} {l2} {l3} add up to {total}")


if __name__ == "__main__":
    print(table(), end="")
