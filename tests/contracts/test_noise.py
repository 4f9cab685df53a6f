"""Noise of structures in motion: of the right distribution, and each has its own."""

import numpy as np
import pytest
import torch

from crystalcli.contracts.noise import StructureNoise

CPU = torch.device("cpu")


def noise(seed: int = 0, ids: tuple[str, ...] = ("a", "b"), counts: tuple[int, ...] = (3, 5)) -> StructureNoise:
    return StructureNoise(seed, ids, counts, device=CPU)


def test_it_is_normal_and_uniform() -> None:
    """Mean, variance and fourth moment over steps and atoms, and no correlation between steps, draws or structures."""
    made = noise(ids=("a", "b"), counts=(500, 500))
    drawn = torch.stack([made.at(step).normal() for step in range(100)])
    assert drawn.dtype == torch.float64
    assert abs(float(drawn.mean())) < 5 / drawn.numel() ** 0.5
    assert float(drawn.square().mean()) == pytest.approx(1.0, abs=5 * (2 / drawn.numel()) ** 0.5)
    assert float((drawn**4).mean()) == pytest.approx(3.0, abs=5 * (96 / drawn.numel()) ** 0.5)
    assert abs(float((drawn[1:] * drawn[:-1]).mean())) < 5 / drawn[1:].numel() ** 0.5
    assert abs(float((drawn[:, :500] * drawn[:, 500:]).mean())) < 5 / drawn[:, 500:].numel() ** 0.5
    flat = torch.stack([made.at(step).uniform() for step in range(100)])
    assert 0.0 <= float(flat.min()) < float(flat.max()) < 1.0
    assert float(flat.mean()) == pytest.approx(0.5, abs=5 / (12 * flat.numel()) ** 0.5)


def test_every_draw_structure_step_and_seed_has_its_own() -> None:
    here = noise().at(7)
    first, second = here.normal(), here.normal()
    found = {
        "draw 1": first[:3], "draw 2": second[:3], "structure b": first[3:6],
        "step 8": here.at(8).normal()[:3], "seed 1": noise(1).at(7).normal()[:3],
        "id c": noise(ids=("c", "b")).at(7).normal()[:3],
    }  # fmt: skip
    for name, one in found.items():
        for other, two in found.items():
            assert (name == other) is torch.equal(one, two), f"{name} and {other}"


def test_order_company_and_restart_change_nothing() -> None:
    here, there = noise().at(3), noise(ids=("b", "x", "a"), counts=(5, 9, 3))
    there.at(2).normal()
    there.at(3)
    for _ in range(2):
        one, two = here.normal(), there.normal()
        assert torch.equal(one[:3], two[14:])
        assert torch.equal(one[3:], two[:5])
    assert here.normal_of_structures().shape == (2, 3)
    assert torch.equal(here.uniform()[3:], (there.normal(), there.uniform()[:5])[1])


def test_samplers_that_draw_for_the_batch_may() -> None:
    """It is torch's generator, seeded for the step."""
    here = noise()
    first = torch.randn(4, generator=here.at(5))
    assert torch.equal(torch.randn(4, generator=noise().at(5)), first)
    assert not torch.equal(torch.randn(4, generator=here.at(6)), first)
    assert np.isfinite(first.numpy()).all()
