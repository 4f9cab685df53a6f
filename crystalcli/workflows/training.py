"""Graph cache → trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crystalcli.contracts.records import Statistics
from crystalcli.mechanisms import model_file
from crystalcli.mechanisms.cache import GraphCache
from crystalcli.mechanisms.dataset import GraphDataset
from crystalcli.mechanisms.model import CrystalModel, ModelSpec, PartChoice
from crystalcli.vocabulary.errors import UsageError


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that fixes a training run."""

    caches: tuple[Path, ...]
    output: Path
    architecture: str
    head: str
    architecture_options: Mapping[str, Any] = field(default_factory=dict)
    head_options: Mapping[str, Any] = field(default_factory=dict)
    embed_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 64
    lr: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class TrainingReport:
    """What came out."""

    test_mae: float


def run(plan: TrainingPlan) -> TrainingReport:
    """Train, save the model, evaluate the test split."""
    data = GraphDataset([GraphCache(p) for p in plan.caches])
    if not data.columns:
        raise UsageError("has no labels; build it with --targets or beside an id_prop.csv", path=plan.caches[0])
    (target,) = data.columns
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    order = rng.permutation(np.flatnonzero(data.columns[target].mask))
    n = len(order)
    train, test = order[: n * 8 // 10], order[n * 9 // 10 :]
    values = data.columns[target].values[train]
    spec = ModelSpec(
        graph=PartChoice(data.recipe.featurizer, data.recipe.options),
        embedding=PartChoice(data.recipe.featurizer, plan.embed_options),
        architecture=PartChoice(plan.architecture, plan.architecture_options),
        head=PartChoice(plan.head, plan.head_options),
        targets=(data.columns[target].quantity,),
        statistics=Statistics(
            target_mean={target: float(values.mean())}, target_scale={target: float(values.std()) or 1.0}
        ),
    )
    model = CrystalModel(spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.lr)
    for _ in range(plan.epochs):
        for start in range(0, len(train), plan.batch_size):
            batch = data.batch(train[start : start + plan.batch_size], [target])
            _, loss = model.loss(batch.graph, batch.labels, "l1")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        train = rng.permutation(train)
    model.eval()
    with torch.no_grad():
        batch = data.batch(test, [target])
        error = model(batch.graph)[target].value - batch.labels[target].value
    plan.output.mkdir(parents=True, exist_ok=True)
    model_file.save(plan.output / "model.safetensors", model, {"seed": plan.seed})
    return TrainingReport(float(error.abs().mean()))
