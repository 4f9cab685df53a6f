"""Hulls by hand, against a linear program, and what adding phases and supercells may change."""

import numpy as np
import pytest
from reference.hull import above_hull, fractions_of

from crystalcli.screen.hull import Phase, distances, stable

ELEMENTS = ("Hf", "N", "Zn")


def of(candidates: list[Phase], references: list[Phase] = []) -> np.ndarray:  # noqa: B006
    return np.array([d.above for d in distances(candidates, [True] * len(candidates), references)])


def test_binary_by_hand() -> None:
    """AB at −1 is stable; A3B at −0.2 is above the line from A (0) to AB (−1), which is −0.5 there."""
    ab, a3b, polymorph = Phase({"Al": 1, "O": 1}, -1.0), Phase({"Al": 3, "O": 1}, -0.2), Phase({"Al": 2, "O": 2}, -0.9)
    np.testing.assert_allclose(of([ab, a3b, polymorph]), [0.0, 0.3, 0.1], atol=1e-12)
    assert stable([ab, a3b, polymorph]) == [True, False, False]


def test_elements_are_zero_and_unstable_compounds_are_above_them() -> None:
    np.testing.assert_allclose(of([Phase({"Hf": 4}, 0.0), Phase({"Hf": 1, "N": 1}, 0.25)]), [0.0, 0.25], atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_ternaries_against_a_linear_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    amounts = [dict(zip(ELEMENTS, map(float, rng.integers(0, 5, 3)), strict=True)) for _ in range(60)]
    amounts = [a for a in amounts if sum(a.values()) > 0]
    energies = rng.normal(-0.2, 0.3, len(amounts))
    phases = [Phase(a, float(e)) for a, e in zip(amounts, energies, strict=True)]
    x = np.vstack([fractions_of(amounts, ELEMENTS), np.eye(3)])
    everything = np.append(energies, np.zeros(3))
    expected = [e - above_hull(x, everything, xi) for e, xi in zip(energies, x, strict=False)]
    np.testing.assert_allclose(of(phases), expected, atol=1e-8)


def test_adding_a_phase_never_lowers_the_others_and_supercells_change_nothing() -> None:
    rng = np.random.default_rng(3)
    amounts = [dict(zip(ELEMENTS, map(float, rng.integers(1, 4, 3)), strict=True)) for _ in range(20)]
    phases = [Phase(a, float(e)) for a, e in zip(amounts, rng.normal(-0.3, 0.2, 20), strict=True)]
    before = of(phases)
    assert (of([*phases, Phase({"Hf": 1, "N": 1}, -0.8)])[:20] >= before - 1e-12).all()
    doubled = [Phase({k: 2 * n for k, n in p.amounts.items()}, p.energy) for p in phases]
    np.testing.assert_allclose(of(doubled), before, atol=1e-12)


def test_what_does_not_compete_can_lie_below_and_pulls_nobody_up() -> None:
    wild, sober = Phase({"Hf": 1, "N": 1}, -3.0), Phase({"Hf": 1, "N": 1}, -0.8, "HfN")
    found = distances([wild, sober], [False, True], [])
    assert [d.above for d in found] == [pytest.approx(-2.2), 0.0]
    assert found[0].products == ("HfN",)


def test_systems_are_apart_but_share_what_lies_inside() -> None:
    """A binary reference counts in the ternary; a phase of other elements does not."""
    ternary = Phase({"Hf": 1, "Zn": 1, "N": 1}, -0.1)
    reference, stranger = Phase({"Hf": 1, "N": 1}, -0.9), Phase({"Ti": 1, "N": 1}, -5.0)
    assert of([ternary], [reference, stranger])[0] == pytest.approx(-0.1 + 0.9 * 2 / 3)
