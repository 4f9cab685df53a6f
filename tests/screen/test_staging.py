"""The staged scheme with made-up predictors: oracles, ignorance, the limits of κ, and what is paid."""

from itertools import pairwise

import numpy as np
import pytest

from crystalcli.screen import training_set
from crystalcli.screen.hull import Phase, stable
from crystalcli.screen.rule import Candidate, Decision, stage_costs
from crystalcli.screen.staging import Recall, Rule, StagedScreening, recall, staged_screening
from crystalcli.vocabulary.thresholds import Threshold

N, TRAINED, STAGES = 90, 15, 3


class World:
    """Ternaries with true energies; predictors that are off by a noise that shrinks from stage to stage."""

    def __init__(self, seed: int, noise: float, sigma: float) -> None:
        rng = np.random.default_rng(seed)
        self.ids = [f"c{k:02d}" for k in range(N)]
        self.amounts = {i: dict(zip("ABC", map(float, rng.integers(1, 6, 3)), strict=True)) for i in self.ids}
        self.amounts = {i: {"Hf": a["A"], "N": a["B"], "Zn": a["C"]} for i, a in self.amounts.items()}
        self.truth = {i: float(e) for i, e in zip(self.ids, rng.normal(-0.3, 0.2, N), strict=True)}
        self.error = {s: dict(zip(self.ids, noise / (s + 1) * rng.normal(size=N), strict=True)) for s in range(STAGES)}
        self.sigma = sigma
        self.brought: list[tuple[int, tuple[str, ...]]] = []

    @property
    def everything(self) -> list[Phase]:
        return [Phase(self.amounts[i], e, i) for i, e in self.truth.items()]

    @property
    def known(self) -> list[Phase]:
        return self.everything[:TRAINED]

    @property
    def true_hull(self) -> set[str]:
        return {p.name for p, s in zip(self.everything, stable(self.everything), strict=True) if s}

    def predict(self, stage, ids):
        return [Candidate(i, self.amounts[i], self.truth[i] + self.error[stage][i], self.sigma, 0.0) for i in ids]

    def bring(self, stage, ids):
        self.brought.append((stage, tuple(ids)))

    def screened(self, kappa: float, **more) -> StagedScreening:
        rule = Rule(Threshold(kappa, "sigma"), **more)
        return staged_screening(self.ids[TRAINED:], STAGES, self.known, rule, bring=self.bring, predict=self.predict)

    def seen(self, went: StagedScreening) -> Recall:
        return recall(self.everything, [*self.ids[:TRAINED], *went.survivors], [])


@pytest.mark.parametrize("seed", range(3))
def test_an_oracle_relaxes_the_hull_and_nothing_else(seed: int) -> None:
    world = World(seed, noise=0.0, sigma=0.0)
    went = world.screened(2.0)
    assert set(went.survivors) == world.true_hull - set(world.ids[:TRAINED])
    assert world.seen(went) == Recall(world.seen(went).hull, (), 0.0)
    assert set(world.seen(went).hull) == world.true_hull
    assert world.brought == [(s, r) for s, r in enumerate(went.reached)]


def test_who_knows_nothing_removes_nothing_and_pays_for_all() -> None:
    world = World(1, noise=0.5, sigma=100.0)
    went = world.screened(2.0)
    assert went.counts == [N - TRAINED] * STAGES
    assert world.seen(went).share == 1.0
    assert stage_costs(went.counts, [5, 60, 540], TRAINED) == pytest.approx(N)


def test_limits_of_kappa() -> None:
    world = World(2, noise=0.1, sigma=0.05)
    everything = world.screened(1e9)
    assert everything.counts == [N - TRAINED] * STAGES
    assert world.seen(everything) == Recall(tuple(sorted(world.true_hull)), (), 0.0)
    only = world.screened(0.0)
    for stage in range(STAGES - 1):
        here = [v for v in only.decisions if v.stage == stage]
        assert only.reached[stage + 1] == tuple(v.candidate.id for v in here if v.decision.above == 0)


def test_a_larger_kappa_keeps_more_after_the_first_stage() -> None:
    """The same pool and predictions; across stages nothing of the kind is promised."""
    world = World(3, noise=0.1, sigma=0.05)
    kept = [set(world.screened(k).reached[1]) for k in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert all(a <= b for a, b in pairwise(kept))
    assert len(kept[0]) < len(kept[-1])


def test_true_energies_of_the_trained_shape_the_hull() -> None:
    """A trained phase far below pushes all of its composition out; removed ones do not, unless they stay."""
    world = World(4, noise=0.0, sigma=0.0)
    world.truth[world.ids[0]] = -9.0
    went = world.screened(2.0)
    removed = [v for v in went.decisions if v.stage == 0 and not v.decision.kept]
    assert len(removed) > len(went.survivors)
    assert any(world.ids[0] in v.decision.products for v in removed)


def test_discarded_phases_stay_only_if_asked() -> None:
    """b is removed after the first stage; after the second a looks worse than what b was predicted."""
    amounts = {"Hf": 1.0, "N": 1.0}
    said = {0: {"a": -1.0, "b": -0.8}, 1: {"a": -0.5}}

    def predict(stage, ids):
        return [Candidate(i, amounts, said[stage][i], 0.05, 0.0) for i in ids]

    for stays, survivors in ((False, ("a",)), (True, ())):
        rule = Rule(Threshold(2.0, "sigma"), keep_discarded=stays)
        went = staged_screening(["a", "b"], 3, [], rule, bring=lambda _s, _i: None, predict=predict)
        assert went.reached == (("a", "b"), ("a",), survivors)


def test_a_candidate_without_prediction_goes_on_and_shapes_nothing() -> None:
    nan, amounts = float("nan"), {"Hf": 1.0, "N": 1.0}
    found = [
        Candidate("a", amounts, -1.0, 0.1, 0.0, (-1.0, -1.1)),
        Candidate("b", amounts, -0.2, 0.1, 0.0, (-0.2, -0.3)),
        Candidate("lost", amounts, nan, nan, nan),
    ]

    rule = Rule(Threshold(2.0, "sigma"), robust=0.9)
    went = staged_screening(["a", "b", "lost"], 2, [], rule, bring=lambda _s, _i: None, predict=lambda _s, _i: found)
    assert went.survivors == ("a", "lost")
    assert [v.decision.on_hull for v in went.decisions] == [1.0, 0.0, None]
    assert went.decisions[2].decision.reason == "no prediction: kept, to be looked at"


def test_recall_names_what_was_missed_and_how_much_the_hull_rose() -> None:
    ab, other = Phase({"Hf": 1, "N": 1}, -1.0, "ab"), Phase({"Hf": 1, "N": 3}, -0.2, "ab3")
    seen = recall([ab, other], ["ab3"], [])
    assert (seen.hull, seen.missed, seen.share) == (("ab",), ("ab",), 0.0)
    assert seen.rise == pytest.approx(1.0 - 0.2 * 2 / 3)  # at ab, which is then two thirds ab3 and one third Hf
    assert recall([ab, other], ["ab"], []).rise == 0.0


def test_random_draws_are_nested_and_know_no_order() -> None:
    ids = [f"c{k}" for k in range(50)]
    assert training_set.drawn(ids, 20, 3) == training_set.drawn(ids[::-1], 20, 3)
    assert set(training_set.drawn(ids, 10, 3)) < set(training_set.drawn(ids, 20, 3))
    assert training_set.drawn(ids, 20, 3) != training_set.drawn(ids, 20, 4)


def test_choosing_by_uncertainty_promise_and_difference() -> None:
    amounts = {"Hf": 1.0}
    some = [Candidate(n, amounts, 0.0, 0.1, e) for n, e in (("a", 0.1), ("b", 0.3), ("c", 0.3), ("d", 0.0))]
    assert training_set.most_uncertain([*some, Candidate("x", amounts, float("nan"), 0.1, 9.0)], 2) == ["b", "c"]
    judged = [Decision(h, (), True, "", p) for h, p in ((0.0, 0.2), (0.3, 0.8), (0.1, 0.2), (0.0, None))]
    assert training_set.most_promising(some, judged, 3) == ["b", "a", "c"]
    x = np.array([[0.0], [1.0], [9.0], [10.0], [5.0]])
    assert training_set.most_different(["0", "1", "9", "10", "5"], x, np.array([[0.0]]), 2) == ["10", "5"]


def test_one_step_is_the_first_decision_of_a_campaign() -> None:
    """One stage, decided on; of three stages the first decides the same."""
    world = World(1, noise=0.1, sigma=0.05)
    rule = Rule(Threshold(1.0, "sigma"))
    asked = {"bring": world.bring, "predict": world.predict}
    one = staged_screening(world.ids[TRAINED:], 1, world.known, rule, **asked, decisions=1)
    campaign = staged_screening(world.ids[TRAINED:], STAGES, world.known, rule, **asked)
    assert [d for d in campaign.decisions if d.stage == 0] == list(one.decisions)
    assert one.survivors == campaign.reached[1]
    assert 0 < len(one.survivors) < N - TRAINED
    assert one.counts == [N - TRAINED]
