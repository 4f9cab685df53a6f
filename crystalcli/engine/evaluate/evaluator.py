"""What a model says of a batch of graphs, as numbers that can travel: evaluated here, or on workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from crystalcli.engine.baselines.baseline_models import LinearBaseline
from crystalcli.engine.evaluate.batches import pieces
from crystalcli.engine.model import model_file
from crystalcli.engine.model.latent import latent_vectors
from crystalcli.engine.model.model import CrystalModel, ModelOutput
from crystalcli.engine.run.devices import choose_device, prepare_cpu
from crystalcli.engine.run.run_folder import sha256
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.vocabulary.errors import InputError

GraphBatch = Sequence[GraphArrays]


@dataclass(frozen=True)
class EvaluatedBatch:
    """What a model says of a batch; every list has one entry per structure.

    Args:
        values: by target. spreads: by target and word; see :class:`crystalcli.prediction.predictor.Row`.
        members: of an ensemble, by target that is one number per structure: (M,) what each member says.
        domain_distance: how unlike those of the training, where the model knows.
        vectors: latent ones of the sites, where asked for.
        unseen_distances: structures with distances that training never had, of which the baseline knows nothing.
    """

    values: Mapping[str, list[Any]]
    spreads: Mapping[str, Mapping[str, list[Any]]]
    members: Mapping[str, list[tuple[float, ...]]]
    domain_distance: list[float | None]
    vectors: list[NDArray[np.float32] | None]
    unseen_distances: int


class Evaluator:
    """A model on a device.

    Args:
        model: in evaluation mode. device: where. latent: give the vectors of the sites, too.
    """

    def __init__(self, model: model_file.AnyModel, device: torch.device, *, latent: bool) -> None:
        self.model, self.device, self.latent = model.to(device), device, latent

    @torch.no_grad()
    def __call__(self, batch: GraphBatch) -> EvaluatedBatch:
        """Evaluate some graphs together."""
        graph: CrystalGraph = collate(batch).to(self.device)
        baseline_values, extrapolated = self._baseline_values(graph)
        seen = self.model.seen(graph, baseline_values)
        found = {n: pieces(p, graph) for n, p in seen.predictions.items()}
        return EvaluatedBatch(
            {n: values for n, (values, _) in found.items()},
            {n: known for n, (_, known) in found.items() if known},
            self._members(seen),
            self._domain_distance(graph, seen),
            self._latent(graph) if self.latent else [None] * len(batch),
            extrapolated,
        )

    def _members(self, seen: ModelOutput) -> dict[str, list[tuple[float, ...]]]:
        if not seen.members:
            return {}
        numbers = [q.name for q in self.model.spec.targets if q.level == "structure" and not q.classes and not q.shape]
        said = {n: torch.stack([m[n].value for m in seen.members], 1).tolist() for n in numbers}
        return {name: [tuple(row) for row in rows] for name, rows in said.items()}

    def _domain_distance(self, graph: CrystalGraph, seen: ModelOutput) -> list[float | None]:
        known = self.model.out_of_domain
        return [None] * graph.n_structures if known is None else known.domain_distance(graph, seen.embedding).tolist()

    def _latent(self, graph: CrystalGraph) -> list[NDArray[np.float32] | None]:
        vectors = latent_vectors(cast(CrystalModel, self.model), graph).cpu().numpy().astype(np.float32)
        return list(np.split(vectors, np.cumsum(graph.atom_counts.cpu().numpy())[:-1]))

    def _baseline_values(self, graph: CrystalGraph) -> tuple[dict[str, torch.Tensor], int]:
        """Values of the baselines, and the number of structures with distances that training never had."""
        found: dict[str, torch.Tensor] = {}
        extrapolated = torch.zeros(graph.n_structures, dtype=torch.bool, device=self.device)
        for name, baseline in zip(self.model.baseline_targets, self.model.baselines, strict=True):
            known = cast(LinearBaseline, baseline)
            features = known.describe(graph)
            found[name] = known.value(graph, features)
            extrapolated |= known.extrapolated(features)
        return found, int(extrapolated.sum())


@dataclass(frozen=True)
class Elsewhere:
    """What a worker needs to evaluate.

    Args:
        path: of the model. sha256: of that file, so that the worker's is no other.
        device: a word. threads: of a worker.
        latent: see :class:`Evaluator`.
    """

    path: Path
    sha256: str
    device: str
    threads: int
    latent: bool


def start(work: Elsewhere) -> Callable[[GraphBatch, int], Iterator[EvaluatedBatch]]:
    """(Graphs, 1 if they are done) → what the model says; what a worker does.

    Raises:
        InputError: another model there.
    """
    prepare_cpu()
    torch.set_num_threads(work.threads)
    if sha256(work.path) != work.sha256:
        raise InputError("is another model on the worker", path=work.path)
    evaluate = Evaluator(model_file.load(work.path)[0], choose_device(work.device), latent=work.latent)
    return lambda batch, skip: iter(() if skip else (evaluate(batch),))
