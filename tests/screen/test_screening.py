"""The 2σ rule: limits of κ, oracles, monotony, wild predictions, and the published cost."""

from itertools import pairwise

import numpy as np
import pytest

from crystalcli.screen.hull import Phase, stable
from crystalcli.screen.rule import Candidate, decide, stage_costs
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.thresholds import Threshold

ELEMENTS = ("Hf", "N", "Zn")


def campaign(seed: int, noise: float, sigma: float) -> tuple[list[Candidate], np.ndarray]:
    """Eighty ternaries with true energies, and predictions that are off by ``noise``."""
    rng = np.random.default_rng(seed)
    made, truth = [], []
    for k in range(80):
        amounts = dict(zip(ELEMENTS, map(float, rng.integers(1, 5, 3)), strict=True))
        truth.append(float(rng.normal(-0.3, 0.2)))
        members = truth[-1] + noise * rng.normal(size=5)
        made.append(Candidate(f"c{k}", amounts, members.mean(), sigma, members.std(), tuple(members)))
    return made, np.array(truth)


def kept(candidates: list[Candidate], kappa: float, **more: float) -> set[str]:
    found = decide(candidates, [], Threshold(kappa, "sigma"), **more)
    return {c.id for c, d in zip(candidates, found, strict=True) if d.kept}


@pytest.mark.parametrize("seed", range(3))
def test_limits_of_kappa_and_monotony(seed: int) -> None:
    candidates, _ = campaign(seed, 0.05, 0.03)
    on_hull = {
        c.id for c, s in zip(candidates, stable([Phase(c.amounts, c.energy) for c in candidates]), strict=True) if s
    }
    assert kept(candidates, 0.0) == on_hull
    assert kept(candidates, 1e9) == {c.id for c in candidates}
    sets = [kept(candidates, k) for k in (0.0, 0.5, 1.0, 2.0, 3.0, 5.0)]
    assert all(a <= b for a, b in pairwise(sets))
    assert len(sets[2]) < len(sets[4])


def test_an_oracle_without_doubt_keeps_the_hull_and_nothing_else() -> None:
    candidates, truth = campaign(1, 0.0, 0.0)
    true_hull = {c.id for c, s in zip(candidates, stable(_true(candidates, truth)), strict=True) if s}
    assert kept(candidates, 2.0) == true_hull


def test_noise_with_an_honest_sigma_rarely_loses_a_true_hull_phase() -> None:
    recalls = []
    for seed in range(10):
        candidates, truth = campaign(seed, 0.06, 0.06)
        true_hull = {c.id for c, s in zip(candidates, stable(_true(candidates, truth)), strict=True) if s}
        recalls.append(len(true_hull & kept(candidates, 2.0)) / len(true_hull))
    assert np.mean(recalls) > 0.95


def _true(candidates: list[Candidate], truth: np.ndarray) -> list[Phase]:
    return [Phase(c.amounts, float(e)) for c, e in zip(candidates, truth, strict=True)]


def test_one_wild_prediction_pushes_all_out_unless_it_may_not_compete() -> None:
    candidates, _ = campaign(2, 0.02, 0.02)
    wild = Candidate("wild", {"Hf": 2.0, "N": 2.0, "Zn": 2.0}, -4.0, 0.02, 1.5, (-6.0, -4.0, -4.0, -4.0, -2.0))
    everyone = [*candidates, wild]
    assert len(kept(everyone, 2.0)) < len(kept(candidates, 2.0))
    assert kept(everyone, 2.0, robust=0.98) >= kept(candidates, 2.0)
    found = decide(everyone, [], Threshold(2.0, "sigma"), robust=0.98)[-1]
    assert (found.competes, found.kept) == (False, True)
    assert found.above < 0
    votes = [d.on_hull for d in decide(everyone, [], Threshold(2.0, "sigma"), robust=0.98)[:-1]]
    assert votes == [d.on_hull for d in decide(candidates, [], Threshold(2.0, "sigma"))]
    assert any(votes)


def test_members_vote() -> None:
    a = Candidate("a", {"Hf": 1.0, "N": 1.0}, -1.0, 0.1, 0.1, (-1.0, -1.0, -0.5, -1.0))
    b = Candidate("b", {"Hf": 1.0, "N": 1.0}, -0.9, 0.1, 0.1, (-0.9, -0.9, -0.9, -0.9))
    assert [d.on_hull for d in decide([a, b], [], Threshold(2.0, "sigma"))] == [0.75, 0.25]


@pytest.mark.parametrize("threshold", ["0meV", "0sigma", "2sigma"])
def test_one_crystal_in_cells_of_several_sizes_has_one_decision(threshold: str) -> None:
    """Predictions of a network in float32 differ by rounding; on the hull are all of them or none."""
    off = np.float32([0.0, 3e-7, -2e-7, 6e-6])
    for above in (0.0, 0.05):
        made = [Candidate("ground", {"Hf": 1.0, "N": 1.0}, -1.25 - above, 0.0, 0.0, (-1.25 - above,) * 4)]
        for size, e in zip((1, 4, 8, 27), (-1.25 + off).tolist(), strict=True):
            members = tuple((-1.25 + np.roll(off, size)).tolist())
            made.append(Candidate(f"of {size}", {"Hf": size, "N": size}, e, 1e-3, 1e-6, members))
        found = decide(made, [], Threshold.parse(threshold))[1:]
        assert {(d.kept, d.on_hull) for d in found} == ({(True, 1.0)} if above == 0.0 else {(False, 0.0)})
        assert all(d.above == 0.0 for d in found) == (above == 0.0)


def test_known_energies_that_differ_by_more_than_their_rounding_are_told_apart() -> None:
    known = [Phase({"Hf": 1.0, "N": 1.0}, -1.0), Phase({"Hf": 2.0, "N": 2.0}, -1.0 + 1e-6)]
    assert stable(known) == [True, False]


def test_reasons_are_in_words() -> None:
    a = Candidate("a", {"Hf": 1.0, "N": 1.0}, -1.0, 0.03, 0.04)
    b = Candidate("b", {"Hf": 1.0, "N": 1.0}, -0.95, 0.03, 0.04)
    c = Candidate("c", {"Hf": 1.0, "N": 1.0}, -0.8, 0.03, 0.04)
    said = [(d.kept, d.reason) for d in decide([a, b, c], [], Threshold(2.0, "sigma"))]
    assert said == [
        (True, "on the predicted hull"),
        (True, "50.0 meV/atom above the hull ≤ 2σ = 100.0 meV/atom"),
        (False, "200.0 meV/atom above the hull > 2σ = 100.0 meV/atom"),
    ]
    assert decide([a, b], [], Threshold(0.04, "energy"))[1].reason == "50.0 meV/atom above the hull > 40 meV/atom"


@pytest.mark.parametrize(
    ("threshold", "sigma"), [("2sigma", 0.125), ("0.5sigma", 0.5), ("250meV", 0.01), ("0.25eV", 9.0)]
)
def test_a_candidate_exactly_at_the_threshold_stays(threshold: str, sigma: float) -> None:
    """> is strict. All numbers are sums of powers of two: no rounding decides."""
    rule = Threshold.parse(threshold)
    ground = Candidate("ground", {"Hf": 1.0, "N": 1.0}, -1.0, 0.0, 0.0)
    for energy, kept in ((-0.75, True), (-0.75 + 2**-30, False), (-0.75 - 2**-30, True)):
        found = decide([ground, Candidate("c", {"Hf": 1.0, "N": 1.0}, energy, sigma, 0.0)], [], rule)[1]
        assert found.above == energy + 1.0
        assert found.kept is kept


def test_a_sigma_that_is_no_number_is_never_a_reason_to_remove_or_to_shape_the_hull() -> None:
    lost = Candidate("lost", {"Hf": 1.0, "N": 1.0}, -9.0, 0.1, float("nan"))
    known = Candidate("known", {"Hf": 1.0, "N": 1.0}, -1.0, 0.1, 0.1)
    first, second = decide([lost, known], [], Threshold(2.0, "sigma"))
    assert not first.competes
    assert second.above == 0.0
    high = Candidate("high", {"Hf": 1.0, "N": 1.0}, 5.0, float("nan"), float("nan"))
    found = decide([high, known], [], Threshold(2.0, "sigma"))[0]
    assert (found.kept, found.reason) == (True, "no sigma: kept, to be looked at")


def test_published_cost() -> None:
    """4779 to stage 1, 2227 to stage 2, 1210 to stage 3, trained on 60; 5, 60 and 540 core minutes."""
    assert stage_costs([4779, 2227, 1210], [5, 60, 540], 60) == pytest.approx(1400, abs=0.5)


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("2sigma", 2.0, "sigma"),
        ("2σ", 2.0, "sigma"),
        ("1.5 sigma", 1.5, "sigma"),
        ("50meV", 0.05, "energy"),
        ("0.05eV", 0.05, "energy"),
        (".1eV/atom", 0.1, "energy"),
        ("0sigma", 0.0, "sigma"),
    ],
)
def test_thresholds_as_people_write_them(text: str, value: float, kind: str) -> None:
    assert Threshold.parse(text) == Threshold(value, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["2", "sigma", "-2sigma", "2 kT", "", "2sigma50meV", "nan sigma", "infsigma"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="write 2sigma"):
        Threshold.parse(text)
