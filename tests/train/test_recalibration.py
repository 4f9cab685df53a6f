"""Recalibrated running statistics are those of the training structures; nothing else changes."""

from pathlib import Path

import numpy as np
import torch
from common.some_datasets import dataset

from crystalcli.contracts.records import Statistics
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.testing import crystals
from crystalcli.train.recomputed import recalibrate
from crystalcli.vocabulary.quantities import Quantity


def test_recalibration(tmp_path: Path) -> None:
    data = dataset(tmp_path, [crystals.rattled(k) for k in range(20)], {"e": np.arange(20.0)})
    head = PartChoice("crystal", {"pool_norm": "batch"})
    parts = (PartChoice("cgcnn"), PartChoice("cgcnn"), PartChoice("cgcnn", {"n_conv": 1}), head)
    torch.manual_seed(0)
    model = CrystalModel(ModelSpec(*parts, (Quantity("e"),), Statistics())).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    recalibrate(model, data, np.arange(16))
    assert model.training
    assert model.head.pool_norm.momentum == 0.1
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {f"head.pool_norm.{k}" for k in ("running_mean", "running_var", "num_batches_tracked")}
    graph = data.batch(np.arange(16)).graph
    model.eval()
    with torch.no_grad():
        pooled = model.head.pooled(graph, model.architecture(graph, model.features(graph)).nodes)
    torch.testing.assert_close(pooled.mean(0), torch.zeros(64), atol=1e-2, rtol=0.0)
    torch.testing.assert_close(pooled.std(0), torch.ones(64), atol=1e-2, rtol=0.0)
