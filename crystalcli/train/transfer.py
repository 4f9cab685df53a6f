"""A training that starts from a trained model: what is kept, what starts anew, what stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch

from crystalcli.contracts.element_tables import carried, tables_of
from crystalcli.contracts.modules import Baseline
from crystalcli.contracts.records import Statistics
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.model import model_file
from crystalcli.engine.model.ensemble import Ensemble
from crystalcli.engine.model.model import CrystalModel
from crystalcli.engine.model.model_fields import build_words, recipe_of_file
from crystalcli.engine.model.model_head import read_head
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.model.model_spec import ModelSpec, PartChoice
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.quantities import Quantity


def source(path: Path, member: int) -> CrystalModel:
    """The model of ``path``; of an ensemble its member number ``member``, over and over.

    Raises:
        UsageError, InputError, UnsafeInput: as :func:`crystalcli.engine.model.model_file.load`.
    """
    model = model_file.load(named_by(path))[0]
    return model.models[member % len(model.models)] if isinstance(model, Ensemble) else model


def distinct(path: str) -> int:
    """How many models there are to start from at ``path``.

    Raises:
        UsageError, InputError, UnsafeInput: no model there, or none that can be used.
    """
    return len(read_head(named_by(Path(path))).get("members", [0]))


def refuse_other_graphs(model: Path, recipe: GraphRecipe, path: Path) -> None:
    """Refuse caches whose graphs are not those that ``model`` knows.

    Raises:
        UsageError: says what differs, and how they are built; or as :func:`recipe_of_file`.
    """
    needed = recipe_of_file(named_by(model))
    if said := recipe.misses(needed):
        cure = f"build it for {model}: {build_words(needed)}"
        raise UsageError(f"was not built as the model's graphs were: {said}; {cure}", path=path)


def renamed(model: CrystalModel, targets: Sequence[Quantity]) -> dict[str, str]:
    """Old → new name of every target; these are in the order of the model's."""
    return {a.name: b.name for a, b in zip(model.spec.targets, targets, strict=True)}


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
    return replace(
        old,
        elements=elements,
        references=references,
        shortest=_nearest(old, new, elements),
        target_mean={names[k]: v for k, v in old.target_mean.items()},
        target_scale={names[k]: v for k, v in old.target_scale.items()},
        residual=tuple(names[k] for k in old.residual),
    )


def refitted_statistics(
    old: Statistics, new: Statistics, scaled: Mapping[str, str], *, new_head: bool = False
) -> Statistics:
    """Those of the new data, but for what weights of the source are multiplied with, and distances that it has seen.

    Args:
        old: of the source.
        new: of the new training part.
        scaled: old → new name of targets that keep their scales: those of a potential, whose energies may have another
            zero, but not another unit.
        new_head: whether the head is new, and knows no other distances than those of the new training part.
    """
    scale = {**new.target_scale, **{scaled[k]: v for k, v in old.target_scale.items() if k in scaled}}
    shortest = new.shortest if new_head and not old.shortest else _nearest(old, new, new.elements)
    cutoff = new.cutoff if new_head else old.cutoff  # the weights of a head were fitted beside its repulsion
    return replace(new, mean_neighbors=old.mean_neighbors, target_scale=scale, shortest=shortest, cutoff=cutoff)


def with_all_elements(statistics: Statistics, old: Statistics, fitted: Sequence[int]) -> Statistics:
    """``statistics`` with all elements of the source; atoms not ``fitted`` have the energies they had.

    Of a potential these are reference and mean together, and the mean may have become another.
    """
    elements = tuple(sorted({*statistics.elements, *old.elements}))
    references: tuple[float, ...] = ()
    if old.references:
        moved = old.target_mean.get("energy", 0.0) - statistics.target_mean.get("energy", 0.0)
        known = {z: e + moved for z, e in zip(old.elements, old.references, strict=True)}
        now = dict(zip(statistics.elements, statistics.references, strict=False))
        references = tuple(now.get(z, 0.0) if z in fitted else known[z] for z in elements)
    return replace(statistics, elements=elements, references=references, shortest=_nearest(old, statistics, elements))


def _nearest(old: Statistics, new: Statistics, elements: Iterable[int]) -> tuple[tuple[int, int, float], ...]:
    """The shorter of both shortest distances of every pair of ``elements``.

    A model of others does not say how near its atoms have been: what is known of its elements then is no bound.
    """
    kept = set(elements)
    unsaid = set() if old.shortest else set(old.elements)
    nearest: dict[tuple[int, int], float] = {}
    for a, b, d in (*old.shortest, *new.shortest):
        if {a, b} <= kept and not {a, b} <= unsaid:
            nearest[a, b] = min(d, nearest.get((a, b), d))
    return tuple((a, b, d) for (a, b), d in sorted(nearest.items()))


def renamed_baselines(model: CrystalModel, names: Mapping[str, str]) -> dict[str, Baseline]:
    """Baselines of the source by new name."""
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
    """A model with the weights of ``origin``; those of an element are where it has this element.

    Args:
        origin: trained; it forgets elements that ``statistics`` do not have.
        targets: what it is to predict.
        statistics: normalisers and elements of the new model.
        baselines: its baselines, by target.
        head: a new one, with fresh weights; none keeps that of ``origin``.
        refit: buffers of the head (means, scales) follow ``statistics``, not ``origin``.

    Raises:
        UsageError: other elements, and a part that does not say where it has them.
    """
    old = origin.spec
    spec = ModelSpec(old.graph, old.embedding, old.architecture, head or old.head, targets, statistics)
    model = CrystalModel(spec.with_baselines(baselines), baselines)
    kept = [*_KEPT, *([] if head else ["head"])]
    if old.statistics.elements != statistics.elements:
        _refuse_undeclared(origin, kept)
    for of in kept:
        part = model.get_submodule(of)
        try:
            state = carried(origin.get_submodule(of), part, old.statistics.elements, statistics.elements)
        except UsageError as problem:
            cure = "; --new-head begins a new one" if of == "head" else ""
            raise UsageError(f"{of} '{getattr(old, _CHOICE[of]).name}': {problem.reason}{cure}") from problem
        if refit and of == "head":
            state |= {name: value for name, value in part.named_buffers() if name in state}
        part.load_state_dict(state)
    return model


_KEPT = ("features", "architecture")
_CHOICE = {"features": "embedding", "architecture": "architecture", "head": "head"}
"""Where a model's spec says which part is behind its modules."""


def _refuse_undeclared(model: CrystalModel, modules: Iterable[str]) -> None:
    """Refuse parts with a shape that hangs on the number of elements unsaid: rows might go to another element.

    Raises:
        UsageError: names the part and the tensor.
    """
    known = model.spec.statistics
    count = max(len(known.elements) - 1, 1) if len(known.elements) != 1 else 2
    elements = (*known.elements, *(z for z in (1, 2) if z not in known.elements))[:count]
    other = replace(known, elements=elements, references=known.references and (0.0,) * count)
    with torch.random.fork_rng(devices=[]):
        probe = CrystalModel(model.spec.with_statistics(other))
    for of in modules:
        here, there = model.get_submodule(of), probe.get_submodule(of).state_dict()
        tables = tables_of(here)
        for name, value in here.state_dict().items():
            if name not in tables and there[name].shape != value.shape:
                raise UsageError(
                    f"{of} '{getattr(model.spec, _CHOICE[of]).name}': the shape of '{name}' hangs on the number of "
                    "elements, and no element_tables of the part name it: with other elements rows would go astray; "
                    "train on the elements of the model only, or ask who wrote the part"
                )


def fresh_rows(model: CrystalModel, seen: Iterable[int]) -> list[str]:
    """Names of the weights that have rows of elements which are not among ``seen``."""
    if set(model.spec.statistics.elements) <= set(seen):
        return []
    weights = dict(model.named_parameters())
    return [name for name in tables_of(model) if name in weights]


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
