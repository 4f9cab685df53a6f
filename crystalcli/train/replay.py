"""Structures at which a model that is trained on keeps its answers, so that it forgets less of what it knew.

What it says of them before the first step are labels beside the new ones: "learning without forgetting", Z. Li,
D. Hoiem, IEEE Trans. Pattern Anal. Mach. Intell. 40, 2935 (2018), doi:10.1109/TPAMI.2017.2773081. So the data that it
was trained on are not needed, nor labels of the same method: any structures of what is not to be forgotten will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from crystalcli.contracts.host import Reporter
from crystalcli.engine.baselines import baselines
from crystalcli.engine.cache.cache import Column, GraphCache
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.evaluate import evaluation
from crystalcli.engine.evaluate.evaluation import BaselineValues, Collected
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_inputs import inputs_of
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import UsageError

ASIDE = 10
"""One of so many is not learned; what the model says of it in the end tells how much was forgotten."""
BATCH = 16
"""Structures asked together."""


@dataclass(frozen=True)
class Replay:
    """What a training takes beside its training part.

    Args:
        data: the structures of the training, in their order, and after them those of ``--replay``; the labels of these
            are what the model said before training.
        learned, aside: positions in ``data`` of structures that may be learned, and of those that are looked at alone.
        share: how many are learned in an epoch, times the size of the training part.
        baseline_values: of all structures of ``data``, by target.
    """

    data: GraphDataset
    learned: NDArray[np.int64]
    aside: NDArray[np.int64]
    share: float
    baseline_values: BaselineValues

    def beside(self, batches: list[NDArray[np.int64]], rng: np.random.Generator) -> list[NDArray[np.int64]]:
        """Batches of the training part, each with its part of those to be remembered in this epoch, drawn anew.

        In steps of their own they would do harm: their loss begins at zero, and Adam divides a gradient by its size.
        """
        count = min(max(round(self.share * sum(map(len, batches))), 1), len(self.learned))
        drawn = rng.choice(self.learned, count, replace=False)
        return [np.concatenate([b, some]) for b, some in zip(batches, np.array_split(drawn, len(batches)), strict=True)]

    def forgotten(self, model: CrystalModel, batch_size: int) -> dict[str, Any]:
        """How much the answers of ``model`` (in evaluation mode) differ now, where they were not learned."""
        found = evaluation.collect(model, self.data, self.aside, batch_size, self.baseline_values or None)
        errors = {name: {**c.errors().to_json(), "unit": c.quantity.unit} for name, c in found.items() if c.mask.any()}
        return {"structures": len(self.learned) + len(self.aside), "aside": len(self.aside), "changed": errors}


def replayed(
    o: TrainOptions, own: GraphDataset, model: CrystalModel, known: Sequence[int], reporter: Reporter
) -> Replay:
    """Ask ``model``, which is about to be trained on ``own``, what it says of the structures of ``o.replay``.

    ``known`` are the atomic numbers that it had before.

    Raises:
        UsageError: a cache of the training itself, graphs of another kind, elements that the model does not know, too
            few structures, a model whose answers are no labels, or no potential and normalisers that change them.
    """
    own_files = {c.path.resolve() for c in own.caches}
    if same := [p for p in o.replay if p.resolve() in own_files]:
        raise UsageError("is a cache of this training; --replay names other structures", path=same[0])
    caches = [GraphCache(p) for p in o.replay]
    data = GraphDataset([*own.caches, *caches], unlabelled=len(caches))
    hashes = [row.tobytes() for row in data.structure_hashes()]
    if both := len(set(hashes[: len(own)]) & set(hashes[len(own) :])):
        reporter.warn(f"replay: {both} of its structures are in the caches of the training, too: it holds back there")
    _refuse(o, model, data, len(own), set(known))
    values = {
        t: baselines.evaluate(b, data, np.arange(len(data)))  # type: ignore[arg-type] # ModuleList forgets what is in it
        for t, b in zip(model.baseline_targets, model.baselines, strict=True)
    }
    there = np.arange(len(own), len(data))
    model.eval()
    for name, found in evaluation.collect(model, data, there, BATCH, values or None).items():
        data.columns[name] = _with_answers(own.columns[name], found, data, there)
    aside = np.random.default_rng([o.seed_of_split, 11]).permutation(there)[: max(len(there) // ASIDE, 1)]
    learned = np.setdiff1d(there, aside)
    reporter.say(
        f"replay: {len(there)} structures at which the model keeps its answers; {len(aside)} of them are not learned "
        "and tell what is forgotten"
    )
    return Replay(data, learned, np.sort(aside), o.replay_share, values)


def _refuse(o: TrainOptions, model: CrystalModel, data: GraphDataset, first: int, known: set[int]) -> None:
    there = np.arange(first, len(data))
    if len(there) < 2:
        raise UsageError("holds fewer than two structures; one of them is to tell what is forgotten", path=o.replay[0])
    if inputs_of(model.spec):
        raise UsageError("--replay is not for models that read labels beside the structure")
    if classes := [q.name for q in model.spec.targets if q.classes]:
        raise UsageError(f"--replay keeps numbers; '{classes[0]}' is a class")
    if o.refit_normaliser and not model.differentiable:
        raise UsageError("--refit-normaliser changes all that the model says before --replay can keep it; leave it out")
    numbers = data.atomic_numbers()[data.atoms_of(there)]
    strange = np.flatnonzero(~np.isin(numbers, list(known)))
    if len(strange):
        owner, symbol = np.repeat(there, data.atom_counts()[there])[strange[0]], chemical_symbols[numbers[strange[0]]]
        raise UsageError(
            f"{data.ids[owner]} has {symbol}, of which the model knows nothing that could be kept; leave it out",
            path=o.replay[0],
        )


def _with_answers(column: Column, found: Collected, data: GraphDataset, index: NDArray[np.int64]) -> Column:
    """The labels of the training, and what the model says of structures ``index`` behind them."""
    per_site = column.quantity.level == "site"
    value = found.value
    if column.quantity.extensive and not per_site:
        value = value * data.atom_counts()[index].reshape(-1, *[1] * (value.ndim - 1))
    finite = np.isfinite(value.reshape(len(value), -1)).all(1)
    if not finite.all():
        place = int(np.flatnonzero(~finite)[0])
        owner = np.repeat(index, data.atom_counts()[index])[place] if per_site else index[place]
        raise UsageError(f"--replay: of {data.ids[int(owner)]} the model gives no number for '{column.quantity.name}'")
    return Column(
        column.quantity,
        np.concatenate([column.values, value]),
        np.concatenate([column.mask, np.ones(len(value), bool)]),
    )
