"""Predictions of a model for structures of a data set, batch by batch, beside their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.contracts.counting import Counted, count
from crystalcli.contracts.modules import Labels, Prediction
from crystalcli.engine.data.dataset import Batch, GraphDataset
from crystalcli.engine.evaluate import metrics
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.nouns.graph import CrystalGraph
from crystalcli.vocabulary.quantities import Quantity

Made = TypeVar("Made")
BLOCK = 64
"""Structures compared together."""
BaselineValues = Mapping[str, NDArray[np.float64]]
"""Values of the baselines for all structures of a data set, by target."""


@dataclass(frozen=True)
class Collected:
    """Predictions and labels of one target for some structures (or their sites), in order; totals per atom.

    Args:
        quantity: name, unit, level.
        value: (n, …) in the target's unit, or (n, C) probabilities.
        sigma: (n,) or none. epistemic: the part of sigma that is the spread of an ensemble, (n,) or none.
        true, mask: (n, …) labels, and where they exist, (n,). Of what has a period (positions in a cell, angles) the
            label is the one nearest to the prediction, so that ``value − true`` is the error.
        counted: how errors are counted, where not by component in the quantity's unit; its difference is empty.
    """

    quantity: Quantity
    value: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    true: NDArray[np.float64]
    mask: NDArray[np.bool_]
    epistemic: NDArray[np.float64] | None = None
    counted: Counted | None = None

    def errors(self) -> metrics.Errors | metrics.ClassErrors:
        """Errors over the labels that exist."""
        if self.quantity.classes:
            return metrics.classification(self.value[self.mask], self.true[self.mask])
        return compared(self.value[self.mask], self.true[self.mask], self.counted)


def compared(value: NDArray[np.float64], true: NDArray[np.float64], how: Counted | None) -> metrics.Errors:
    """Errors of (n, …) values, counted as ``how`` says; ``true`` are the labels nearest to them."""
    if how is None:
        return metrics.regression(value.ravel(), true.ravel())
    return metrics.counted(value - true, by_norm=how.by_norm, factor=how.factor, unit=how.unit)


def counted_by(
    head: Any, predictions: Mapping[str, Prediction], labels: Mapping[str, Labels], graph: CrystalGraph
) -> dict[str, Counted]:
    """How errors are counted of quantities for which that is not by component: as ``head`` says, or of positions."""
    known = {n: p for n, p in predictions.items() if n in labels}
    said = head.errors(known, {n: labels[n] for n in known}, graph) if hasattr(head, "errors") else {}
    places = {n: p for n, p in known.items() if p.quantity.meaning == "position" and n not in said}
    return {**said, **{n: count(p.quantity, p.value, labels[n].value, graph) for n, p in places.items()}}


@torch.no_grad()
def nearest_labels(
    model: CrystalModel | Ensemble,
    data: GraphDataset,
    index: NDArray[np.int64],
    quantity: Quantity,
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], Counted | None]:
    """Labels of ``index`` nearest to ``values``, (n, …), which are somebody else's predictions, and how errors count.

    Both are per atom for totals.
    """
    parts, how, done = [], None, 0
    for piece in pieces_of(index, BLOCK):
        batch = data.batch(piece, [quantity.name], dtype=torch.float64)
        label, share = batch.labels[quantity.name], _share(quantity, batch.graph)
        n = len(label.mask)
        value = torch.as_tensor(values[done : done + n]) / share
        found = counted_by(model.head, {quantity.name: Prediction(value, quantity)}, batch.labels, batch.graph)
        done += n
        if (how := found.get(quantity.name)) is not None:
            parts.append((value - how.difference) * share)
        else:
            parts.append(label.value * share)
    return torch.cat(parts).numpy(), how


def joined(parts: Sequence[Collected]) -> Collected:
    """Predictions of several parts as one; sigma only where all have it."""

    def together(name: str) -> Any:
        pieces = [getattr(p, name) for p in parts]
        return None if any(x is None for x in pieces) else np.concatenate(pieces)

    if len(parts) == 1:
        return parts[0]
    return replace(parts[0], **{n: together(n) for n in ("value", "sigma", "true", "mask", "epistemic")})


def ahead(make: Callable[[NDArray[np.int64]], Made], pieces: Sequence[NDArray[np.int64]]) -> Iterator[Made]:
    """Yield ``make(piece)`` in order, each gathered by a thread while the one before is worked on."""
    if len(pieces) < 2:
        yield from map(make, pieces)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Made]] = []
        try:
            for piece in pieces:
                waiting.append(pool.submit(make, piece))
                if len(waiting) > 2:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def pieces_of(index: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Cut ``index`` into batches of ``size``."""
    return [index[k : k + size] for k in range(0, len(index), size)]


def baseline_values_of(
    batch: Batch, baseline_values: BaselineValues | None, device: torch.device
) -> dict[str, Tensor] | None:
    """Baselines of a batch, looked up."""
    return (
        None
        if baseline_values is None
        else {t: torch.as_tensor(v[batch.index]).to(device) for t, v in baseline_values.items()}
    )


@torch.no_grad()
def collect(
    model: CrystalModel | Ensemble,
    data: GraphDataset,
    index: NDArray[np.int64],
    batch_size: int,
    baseline_values: BaselineValues | None = None,
) -> dict[str, Collected]:
    """Predict structures ``index``; the model must be in evaluation mode.

    Totals come back per atom: errors of crystals of different sizes are compared that way (MAE/atom).
    """
    targets = [q.name for q in model.spec.targets]
    labelled = [t for t in targets if t in data.columns]
    device = next(model.parameters()).device
    gathered = {q.name: _Gathered(q) for q in model.spec.targets}
    for batch in ahead(lambda i: data.batch(i, labelled), pieces_of(index, batch_size)):
        graph = batch.graph.to(device)
        predictions = model(graph, baseline_values_of(batch, baseline_values, device))
        labels = {n: v.to(device) for n, v in batch.labels.items()}
        counted = counted_by(model.head, predictions, labels, graph)
        for name, piece in gathered.items():
            piece.add(predictions[name], batch.labels.get(name), graph, counted.get(name))
    return {name: piece.joined() for name, piece in gathered.items() if index.size}


@dataclass
class _Gathered:
    """Values of one target, batch by batch."""

    quantity: Quantity
    parts: dict[str, list[Tensor]] = field(default_factory=dict)
    counted: Counted | None = None

    def add(self, found: Prediction, label: Labels | None, graph: CrystalGraph, counted: Counted | None) -> None:
        share = _share(self.quantity, graph)
        for name, values in (("value", found.value), ("sigma", found.sigma), ("epistemic", found.epistemic)):
            if values is not None:
                self._keep(name, (values * share).cpu())
        if label is not None:
            true = label.value if counted is None else (found.value - counted.difference).cpu()
            self._keep("true", true * share.cpu())
            self._keep("mask", label.mask)
        if counted is not None:
            self.counted = replace(counted, difference=counted.difference[:0].cpu())

    def _keep(self, name: str, piece: Tensor) -> None:
        self.parts.setdefault(name, []).append(piece)

    def joined(self) -> Collected:
        whole = {name: torch.cat(pieces).numpy() for name, pieces in self.parts.items()}
        value = whole["value"].astype(np.float64)
        return Collected(
            self.quantity.per_atom(),
            value,
            whole.get("sigma"),
            whole.get("true", np.full(value.shape, np.nan)),
            whole.get("mask", np.zeros(len(value), dtype=bool)),
            whole.get("epistemic"),
            self.counted,
        )


def _share(quantity: Quantity, graph: CrystalGraph) -> Tensor:
    """What turns values of ``quantity`` into what is compared: 1/N for totals, (S,), else 1."""
    if quantity.extensive and quantity.level == "structure":
        return 1.0 / graph.atom_counts.double()
    return torch.ones((), dtype=torch.float64, device=graph.positions.device)
