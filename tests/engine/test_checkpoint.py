from pathlib import Path

import pytest
import torch

from crystalcli.engine.run import checkpoint
from crystalcli.engine.run.checkpoint import TrainingState


def write(folder: Path, steps: int) -> None:
    for k in range(1, steps + 1):
        checkpoint.save(folder, k, TrainingState({"model.w": torch.full((3,), float(k))}, {"progress": {"epoch": k}}))


def test_the_last_three_are_kept_and_the_newest_is_found(tmp_path: Path) -> None:
    write(tmp_path, 5)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"state-{k:09d}.{e}" for k in (3, 4, 5) for e in ("json", "safetensors")
    ]
    state, said = checkpoint.newest(tmp_path)
    assert said == []
    assert state.facts["progress"] == {"epoch": 5}
    assert state.tensors["model.w"].tolist() == [5, 5, 5]


@pytest.mark.parametrize(
    "harm", ["truncated", "empty", "flipped", "no tensors", "no json", "bad json", "other facts", "a list", "deep"]
)
def test_a_damaged_state_is_passed_over_and_said(tmp_path: Path, harm: str) -> None:
    write(tmp_path, 3)
    tensors, note = tmp_path / "state-000000003.safetensors", tmp_path / "state-000000003.json"
    data = tensors.read_bytes()
    if harm == "truncated":
        tensors.write_bytes(data[:-3])
    elif harm == "empty":
        tensors.write_bytes(b"")
    elif harm == "flipped":
        tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "no tensors":
        tensors.unlink()
    elif harm == "no json":
        note.unlink()
    elif harm == "other facts":
        note.write_text(note.read_text().replace('"epoch": 3', '"epoch": 9'))
    else:
        note.write_text({"bad json": '{"format"', "a list": "[]", "deep": "[" * 100_000}[harm])
    state, said = checkpoint.newest(tmp_path)
    assert state.facts["progress"] == {"epoch": 2}
    assert len(said) == (harm != "no json")


def test_facts_of_any_kind_come_back(tmp_path: Path) -> None:
    facts = {"worst": {10: 0.1, 9: float("inf")}, "ids": ["ä", "b"], "none": None, "pair": (1, 2)}
    checkpoint.save(tmp_path, 1, TrainingState({"w": torch.ones(1)}, facts))
    state, said = checkpoint.newest(tmp_path)
    assert said == []
    assert state.facts["worst"] == {"10": 0.1, "9": float("inf")}
    assert state.facts["pair"] == [1, 2]


def test_no_state_at_all(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) == (None, [])


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_optimizer_goes_on_with_the_same_bits(kind: type[torch.optim.Optimizer]) -> None:
    def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            torch.manual_seed(seed)
            optimizer.zero_grad()
            model(torch.randn(4, 3)).square().mean().backward()
            optimizer.step()

    settings = {"lr": 0.1} | ({"momentum": 0.9} if kind is torch.optim.SGD else {})
    models = []
    for _ in range(2):
        torch.manual_seed(1)
        models.append(torch.nn.Linear(3, 2))
    whole = kind(models[0].parameters(), **settings)
    steps(models[0], whole, range(10))
    first = kind(models[1].parameters(), **settings)
    steps(models[1], first, range(5))
    second = kind(models[1].parameters(), **settings)
    checkpoint.restore_optimizer(second, checkpoint.optimizer_tensors(first))
    steps(models[1], second, range(5, 10))
    assert torch.equal(models[0].weight, models[1].weight)
