"""How the ensemble of a stage is trained: the plan's words as a training, and what cannot be, refused at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer, Head
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.model.model_fields import fields_read, recipe_of_file
from crystalcli.engine.model.model_head import read_head
from crystalcli.engine.model.model_names import named_by
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.screen.plan import CampaignPlan
from crystalcli.train import choice
from crystalcli.train.choice import FAMILIES, options_of
from crystalcli.train.options import TrainOptions
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity

ENERGY = Quantity("formation_energy_per_atom", "eV/atom")
DIFFERENCE = Quantity("formation_energy_difference_per_atom", "eV/atom")


def target(plan: CampaignPlan, stage: int) -> Quantity:
    """What the ensemble of ``stage`` learns."""
    return DIFFERENCE if plan.learns_difference(stage) else ENERGY


def training_plan(plan: CampaignPlan, stage: int, output: str, caches: Sequence[str], label: str) -> Request:
    """How the ensemble of ``stage`` is trained, in the folder ``output``, on the ``label`` of ``caches``.

    Raises:
        UsageError: no such architecture or part, an option that it does not have, or that is not the one of the model
            to start from.
    """
    t = plan.training
    arch = cast(Architecture, registry().get("architecture", t.arch))
    given = {family: plan.part_options.get(family, {}) for family in ("architecture", "head", "featurizer")}
    start = plan.stages[stage].start or t.start
    wanted = {} if start else arch.partner_options  # a model has its own
    parts = {
        "arch": Chosen(arch.name, given["architecture"]),
        "head": Chosen(arch.head, {**wanted.get(arch.head, {}), **given["head"]}),
        "featurizer": Chosen(arch.featurizer, {**wanted.get(arch.featurizer, {}), **given["featurizer"]}),
    }
    if start:
        choice.refuse_other_parts(Path(start), parts)
        _refuse_other_target(Path(start), plan, stage)
    head = cast(Head, registry().get("head", arch.head))
    recipe = {**choice.recipe_of(arch, head), "batch_size": t.batch_size or None}
    said = {k: v for k in ("epochs", "lr", "residual_of") if (v := getattr(t, k)) is not None}
    options = TrainOptions(
        arch=arch.name,
        head=arch.head,
        featurizer=arch.featurizer,
        caches=tuple(map(Path, caches)),
        target=(label,) if label else (),
        **{**recipe, **said},
        fractions=t.fractions,
        from_=Path(start) if start else None,
        freeze_norm=t.freeze_norm,
        no_compare=True,
        seed=plan.settings.seed,
        device=plan.call.device,
        threads=plan.call.threads,
        pictures=plan.call.pictures,
    )
    return Request(options, parts, Path(output))


def _refuse_other_target(path: Path, plan: CampaignPlan, stage: int) -> None:
    """Refuse to learn a difference from a model of energies, and the other way round.

    Raises:
        UsageError: says which.
    """
    names = [q["name"] for q in read_head(named_by(path))["spec"]["targets"]]
    if (DIFFERENCE.name in names) != plan.learns_difference(stage):
        wanted = target(plan, stage).name
        raise UsageError(f"predicts {', '.join(names)}; stage '{plan.stages[stage].name}' learns {wanted}", path=path)


def dealt(tables: Mapping[str, Mapping[str, Any]], architecture: str) -> dict[str, dict[str, Any]]:
    """Options of ``[training.NAME]`` by family; ``architecture`` and its featurizer may have one name.

    Raises:
        UsageError: a table or an option that belongs to no part.
    """
    arch = cast(Architecture, registry().get("architecture", architecture))
    head, featurizer = (
        registry().get("head", arch.head),
        cast(Featurizer, registry().get("featurizer", arch.featurizer)),
    )
    parts = {
        "architecture": (arch.name, arch.options),
        "head": (head.name, head.options),
        "featurizer": (featurizer.name, featurizer.embed_options),
    }
    given: dict[str, dict[str, Any]] = {family: {} for family in parts}
    for name, table in tables.items():
        offered = {s.name: family for family, (n, model) in parts.items() if n == name for s in opt.specs(model)}
        if name not in {n for n, _ in parts.values()}:
            words = ", ".join(dict.fromkeys(n for n, _ in parts.values()))
            raise UsageError(f"[training.{name}] belongs to no part of {arch.name} ({words})")
        for key, value in table.items():
            option = key.replace("-", "_")
            if option not in offered:
                raise UsageError(f"[training.{name}] has no option '{key}'; {did_you_mean(option, list(offered))}")
            given[offered[option]][option] = value
    for family, (name, model) in parts.items():
        opt.make(model, given[family], owner=f"[training.{name}]")
    return given


def recipe_of(request: Request) -> GraphRecipe:
    """How graphs are made: as the model that training starts from needs them, or by the featurizer's defaults."""
    o: TrainOptions = request.options
    if o.from_ is not None:
        return recipe_of_file(named_by(o.from_))
    assert o.featurizer is not None
    part = cast(Featurizer, registry().get("featurizer", o.featurizer))
    options = opt.to_dict(opt.make(part.options, {}, owner=f"featurizer {part.name}"))
    chosen = tuple((f, getattr(o, option), options_of(request, option)) for option, f in FAMILIES.items())
    return GraphRecipe(part.name, options, fields_read(chosen))
