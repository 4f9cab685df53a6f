"""What the record of a training says before it begins."""

from __future__ import annotations

from typing import Any

import torch

from crystalcli.mechanisms.running.run_folder import plugin_versions, sha256
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_setup import Prepared


def split_facts(prepared: Prepared) -> dict[str, Any]:
    """How the data were split, and into how many."""
    said = prepared.split.to_json(prepared.ids)
    sizes = {n: len(p) for n, p in prepared.split.parts().items()}
    return {"how": said["how"], "sha256": said["sha256"], "sizes": sizes}


def run_facts(plan: TrainingPlan, prepared: Prepared) -> dict[str, Any]:
    """What a run was started with, all that it takes to go on."""
    spec = prepared.model.spec
    parts = [("featurizer", spec.graph.name), ("architecture", spec.architecture.name), ("head", spec.head.name)]
    return {
        "command": "train",
        "plan": plan.to_json(),
        "plugins": plugin_versions(parts),
        "inputs": {str(p): sha256(p) for p in plan.inputs},
        "split": split_facts(prepared),
        "seed": plan.seed,
        "device": str(prepared.device),
        "threads": torch.get_num_threads(),
    }
