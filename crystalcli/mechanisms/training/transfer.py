"""A training that starts from a trained model: what is kept, what starts anew, what stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from crystalcli.contracts.modules import Baseline
from crystalcli.contracts.records import Statistics
from crystalcli.mechanisms.caches.cache import GraphRecipe
from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.models.ensemble import Ensemble
from crystalcli.mechanisms.models.model import CrystalModel
from crystalcli.mechanisms.models.model_head import file_of, read_head
from crystalcli.mechanisms.models.model_spec import ModelSpec, PartChoice
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity

BY_ELEMENT = ("head.references", "head.wall.begin", "features.held.shortest")
"""Tables that may have rows of new elements."""


def source(path: Path, member: int) -> CrystalModel:
    """The model of ``path``; of an ensemble its member number ``member``, over and over.

    Raises:
        UsageError, InputError, UnsafeInput: as :func:`crystalcli.mechanisms.models.model_file.load`.
    """
    model = model_file.load(file_of(path))[0]
    return model.models[member % len(model.models)] if isinstance(model, Ensemble) else model


def distinct(path: str) -> int:
    """How many models there are to start from at ``path``.

    Raises:
        UsageError, InputError, UnsafeInput: no model there, or none that can be used.
    """
    return len(read_head(file_of(Path(path))).get("members", [0]))


def refuse_other_graphs(model: CrystalModel, recipe: GraphRecipe, path: Path) -> None:
    """Refuse caches whose graphs are not those that ``model`` knows.

    Raises:
        UsageError: says what differs.
    """
    mine = GraphRecipe(model.spec.graph.name, model.spec.graph.options)
    if mine.fingerprint != recipe.fingerprint:
        said = recipe.difference(mine) or "another version"
        raise UsageError(f"was not built as the model's graphs were: {said}; build it so", path=path)


def renamed(model: CrystalModel, targets: Sequence[Quantity]) -> dict[str, str]:
    """Old → new name of every target; a label that means the same may have another name.

    Raises:
        UsageError: another number of targets, or one of another kind or unit.
    """
    old = model.spec.targets
    if len(old) != len(targets):
        raise UsageError(
            f"the model predicts {', '.join(q.name for q in old)}; {len(targets)} targets are asked for (--new-head "
            "trains another head)"
        )
    for a, b in zip(old, targets, strict=True):
        same = all(getattr(a, k) == getattr(b, k) for k in ("level", "shape", "classes", "extensive"))
        if not same or (a.unit and b.unit and a.unit != b.unit):
            raise UsageError(
                f"'{b.name}' ({b.unit or 'unit unknown'}) is not what the model predicts, '{a.name}' "
                f"({a.unit or 'unit unknown'}); --new-head trains another head"
            )
    return {a.name: b.name for a, b in zip(old, targets, strict=True)}


def kept_statistics(old: Statistics, new: Statistics, names: Mapping[str, str]) -> Statistics:
    """Statistics of the source under new names; elements that only the new data have are added, their references too.

    With them the model without a step of training predicts what its source does.
    """
    elements = tuple(sorted({*old.elements, *new.elements}))
    references: tuple[float, ...] = ()
    if old.references:
        known = dict(zip(new.elements, new.references, strict=False)) | dict(
            zip(old.elements, old.references, strict=True)
        )
        references = tuple(known.get(z, 0.0) for z in elements)
    nearest: dict[tuple[int, int], float] = {}
    for a, b, d in (*old.shortest, *new.shortest):
        nearest[a, b] = min(d, nearest.get((a, b), d))
    return replace(
        old,
        elements=elements,
        references=references,
        shortest=tuple((a, b, d) for (a, b), d in sorted(nearest.items())),
        target_mean={names[k]: v for k, v in old.target_mean.items()},
        target_scale={names[k]: v for k, v in old.target_scale.items()},
        residual=tuple(names[k] for k in old.residual),
    )


def renamed_baselines(model: CrystalModel, names: Mapping[str, str]) -> dict[str, Baseline]:
    """Zeroth terms of the source by new name."""
    pairs = zip(model.baseline_targets, model.baselines, strict=True)
    return {names[t]: b for t, b in pairs}  # type: ignore[misc] # ModuleList forgets what is in it


def grown(
    origin: CrystalModel,
    targets: tuple[Quantity, ...],
    statistics: Statistics,
    baselines: Mapping[str, Baseline],
    *,
    head: PartChoice | None,
    refit: bool,
) -> CrystalModel:
    """A model with the weights of ``origin``.

    Args:
        origin: trained.
        targets: what it is to predict.
        statistics: normalisers of the new model.
        baselines: its zeroth terms, by target.
        head: a new one, with fresh weights; none keeps that of ``origin``.
        refit: buffers of the head (means, scales) follow ``statistics``, not ``origin``.
    """
    old = origin.spec
    spec = ModelSpec(old.graph, old.embedding, old.architecture, head or old.head, targets, statistics)
    model = CrystalModel(spec.with_baselines(baselines), baselines)
    state = origin.state_dict()
    own = model.state_dict()
    buffers = {f"head.{name}" for name, _ in model.head.named_buffers()}  # type: ignore[attr-defined]
    for name, value in state.items():
        fresh = name.startswith("head.") and (head is not None or (refit and name in buffers))
        if not fresh and not name.startswith("baselines.") and not _grows(name, value, own):
            own[name] = value
    model.load_state_dict(own)
    return model


def _grows(name: str, value: torch.Tensor, own: Mapping[str, torch.Tensor]) -> bool:
    """Tables by element may have new rows: those of the new statistics."""
    return name in BY_ELEMENT and not torch.equal(value, own[name])


def lr_factors(model: CrystalModel, words: Sequence[str]) -> dict[str, float]:
    """Factor of the learning rate by name of the weights, of ``PATTERN=FACTOR`` words; the last that matches counts.

    Raises:
        UsageError: a word that is no such pair, or a pattern that matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    found: dict[str, float] = {}
    for word in words:
        pattern, _, text = word.rpartition("=")
        try:
            factor = float(text)
        except ValueError:
            factor = -1.0
        if not pattern or not 0.0 < factor < float("inf"):
            raise UsageError(f"--lr-factor {word} is not PATTERN=FACTOR with a factor above 0, e.g. features.*=0.1")
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise UsageError(f"--lr-factor {word} matches no weights; there are {_groups(names)}")
        found |= dict.fromkeys(matching, factor)
    return found


def _groups(names: Iterable[str]) -> str:
    return ", ".join(f"{g}*" for g in sorted({".".join(n.split(".")[:3]) for n in names}))


def freeze(model: CrystalModel, patterns: Sequence[str]) -> int:
    """Keep the weights whose names match one of ``patterns`` as they are; returns how many numbers that are.

    Raises:
        UsageError: a pattern that matches nothing, or nothing is left to train.
    """
    named = dict(model.named_parameters())
    for pattern in patterns:
        found = [p for name, p in named.items() if fnmatchcase(name, pattern)]
        if not found:
            raise UsageError(f"--freeze {pattern} matches no weights; there are {_groups(named)}")
        for p in found:
            p.requires_grad_(False)
    if not any(p.requires_grad for p in named.values()):
        raise UsageError("--freeze leaves nothing to train")
    return sum(p.numel() for p in named.values() if not p.requires_grad)
