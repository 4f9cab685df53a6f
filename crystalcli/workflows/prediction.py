"""Model + structures → values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import ase.io
import torch

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Featurizer
from crystalcli.mechanisms import model_file
from crystalcli.mechanisms.plugin_manager import registry
from crystalcli.nouns.graph import collate


def predict_files(path: Path, inputs: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one row per structure, in input order."""
    model, _ = model_file.load(path)
    part = cast(Featurizer, registry().get("featurizer", model.spec.graph.name))
    build = part.build(opt.make(part.options, model.spec.graph.options, owner=f"featurizer {part.name}"))
    for name in inputs:
        graph = collate([build(ase.io.read(name))])
        with torch.no_grad():
            yield {"id": Path(name).stem} | {k: float(p.value) for k, p in model(graph).items()}
