"""Ensembles: mean and spread by hand, one file, equal bytes, and what is no ensemble."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from reference.some_potentials import ALL, graph_of, model_of

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.engine.model.proof import Proof
from crystalcli.engine.potential.model_potential import ModelPotential
from crystalcli.nouns.systems import Systems
from crystalcli.testing import crystals
from crystalcli.vocabulary.errors import InputError, UsageError
from crystalcli.vocabulary.quantities import Quantity

GAP = Quantity("gap", "eV")


def member(seed: int, quantity: Quantity = GAP, mean: float = 1.0) -> CrystalModel:
    torch.manual_seed(seed)
    parts = [
        PartChoice("radius", {"cutoff": 4.5}),
        PartChoice("radius"),
        PartChoice("cgcnn", {"width": 8, "n_conv": 1}),
    ]
    name = quantity.name
    statistics = Statistics(30.0, (8, 22, 38 + seed), {name: mean}, {name: 0.5})
    head = PartChoice("crystal", {"pool": "sum" if quantity.extensive else "average"})
    return CrystalModel(ModelSpec(*parts, head, (quantity,), statistics)).eval()


def exact(seed: int, quantity: Quantity = GAP, mean: float = 1.0) -> CrystalModel:
    return member(seed, quantity, mean).double()


def graph():
    return graph_of(crystals.rattled(0), crystals.rattled(1) * (2, 1, 1))


def test_mean_spread_and_their_sum() -> None:
    members = [exact(k) for k in range(3)]
    values = torch.stack([m(graph())["gap"].value for m in members])
    found = Ensemble(members, {"gap": 0.2})(graph())["gap"]
    torch.testing.assert_close(found.value, values.sum(0) / 3)
    spread = ((values - values.sum(0) / 3) ** 2).sum(0) / 3  # over M
    torch.testing.assert_close(found.epistemic**2, spread)
    torch.testing.assert_close(found.sigma**2, spread + 0.2**2)
    assert found.aleatoric.tolist() == [0.2, 0.2]


def test_noise_of_a_total_grows_with_the_crystal() -> None:
    energy = Quantity("energy", "eV", extensive=True)
    found = Ensemble([exact(0, energy), exact(1, energy)], {"energy": 0.01})(graph())["energy"]
    torch.testing.assert_close(found.aleatoric, torch.tensor([0.05, 0.1], dtype=torch.float64))


def test_sigma_does_not_depend_on_the_zero_of_the_label() -> None:
    a, b = (Ensemble([exact(0, mean=m), exact(1, mean=m)], {})(graph())["gap"] for m in (0.0, 100.0))
    torch.testing.assert_close(a.sigma, b.sigma, rtol=1e-9, atol=0)


def test_noise_that_nobody_knows_is_not_zero() -> None:
    ensemble = Ensemble([member(0), member(1)], {})
    found = ensemble(graph().to("cpu", torch.float32))["gap"]
    assert found.aleatoric is None
    assert torch.equal(found.sigma, found.epistemic)
    proof = Proof.of(ensemble)
    before = replace(proof, said={**proof.said, "gap.noise": torch.zeros_like(proof.said["gap.sigma"])})
    assert before.difference(ensemble) is None  # a file of before said 0
    with pytest.raises(ValueError, match="other quantities"):
        replace(before, said={**before.said, "gap.noise": before.said["gap.sigma"]}).difference(ensemble)


def test_one_file_with_all_members(tmp_path: Path) -> None:
    ensemble = Ensemble([member(0), member(1)], {"gap": 0.1})
    model_file.save(tmp_path / "e.safetensors", ensemble, {"seed": 3})
    loaded, provenance = model_file.load(tmp_path / "e.safetensors")
    assert isinstance(loaded, Ensemble)
    assert (loaded.aleatoric, provenance) == ({"gap": 0.1}, {"seed": 3})
    assert loaded.spec.statistics.elements == (8, 22, 38, 39)
    batch = graph().to("cpu", torch.float32)
    assert torch.equal(loaded(batch)["gap"].sigma, ensemble(batch)["gap"].sigma)
    assert model_file.to_bytes(loaded, provenance) == (tmp_path / "e.safetensors").read_bytes()


def test_members_that_are_one_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="members 0 and 2 of the ensemble are the same model"):
        Ensemble([member(0), member(1), member(0)], {})
    with pytest.raises(UsageError, match="two members or more"):
        Ensemble([member(0)], {})
    with pytest.raises(UsageError, match="predicts other quantities"):
        Ensemble([member(0), member(1, Quantity("gap", "meV"))], {})
    good = Ensemble([member(0), member(1)], {})
    good.members[1].load_state_dict(good.members[0].state_dict())
    model_file.save(tmp_path / "same.safetensors", good, {})
    with pytest.raises(UsageError, match=r"same\.safetensors: members 0 and 1"):
        model_file.load(tmp_path / "same.safetensors")


def test_a_member_that_is_missing_is_named(tmp_path: Path) -> None:
    import safetensors.torch

    path = tmp_path / "e.safetensors"
    model_file.save(path, Ensemble([member(0), member(1)], {}), {})
    text = safetensors.safe_open(path, "pt").metadata()
    tensors = {k: v for k, v in safetensors.torch.load_file(path).items() if not k.startswith("members.1.")}
    safetensors.torch.save_file(tensors, path, text)
    with pytest.raises(InputError, match=r"without tensor 'members\.1\."):
        model_file.load(path)


def test_an_ensemble_is_a_potential_with_a_spread() -> None:
    def potential(seed: int) -> CrystalModel:
        model = model_of(ALL)
        torch.manual_seed(seed)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1 + 0.1 * torch.randn_like(p))
        return model

    members = [potential(0), potential(1)]
    systems = Systems.of([crystals.rattled(0)])
    alone = [ModelPotential(m, "m").evaluate(systems, stress=True) for m in members]
    together = ModelPotential(Ensemble(members, {}), "e")
    found = together.evaluate(systems, stress=True)
    assert "sigma" in together.provides
    torch.testing.assert_close(found.forces, 0.5 * (alone[0].forces + alone[1].forces))
    torch.testing.assert_close(found.stress, 0.5 * (alone[0].stress + alone[1].stress))
    torch.testing.assert_close(found.sigma, 0.5 * (alone[0].energy - alone[1].energy).abs())
