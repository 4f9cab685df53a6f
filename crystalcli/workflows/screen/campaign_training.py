"""How the ensemble of a stage is trained: the plan's words as a training, and what cannot be, refused at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts import options as opt
from crystalcli.contracts.records import Architecture, Featurizer, Head, Recipe
from crystalcli.mechanisms.caches.cache import GraphRecipe
from crystalcli.mechanisms.models.model_fields import fields_read, recipe_in_head
from crystalcli.mechanisms.models.model_head import file_of, read_head
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError, did_you_mean
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.workflows.screen.campaign_keys import Training
from crystalcli.workflows.screen.campaign_plan import CampaignPlan
from crystalcli.workflows.train.training_plan import SplitPlan, StartPlan, TrainingPlan

ENERGY = Quantity("formation_energy_per_atom", "eV/atom")
DIFFERENCE = Quantity("formation_energy_difference_per_atom", "eV/atom")


def target(plan: CampaignPlan, stage: int) -> Quantity:
    """What the ensemble of ``stage`` learns."""
    return DIFFERENCE if plan.learns_difference(stage) else ENERGY


def training_plan(plan: CampaignPlan, stage: int, output: str, cache: str) -> TrainingPlan:
    """How the ensemble of ``stage`` is trained.

    Raises:
        UsageError: no such architecture or part, an option that it does not have, or that is not the one of the model
            to start from.
    """
    t = plan.training
    arch = cast(Architecture, registry().get("architecture", t.arch))
    given = _dealt(plan.part_options, arch)
    wanted = arch.partner_options
    start = plan.stages[stage].start or t.start
    if start:
        _refuse_other_parts(Path(start), arch.name, given)
        _refuse_other_target(Path(start), plan, stage)
    return TrainingPlan(
        architecture=arch.name,
        architecture_options=given["architecture"],
        head=arch.head,
        head_options={**wanted.get(arch.head, {}), **given["head"]},
        featurizer=arch.featurizer,
        embed_options={**wanted.get(arch.featurizer, {}), **given["featurizer"]},
        caches=(cache,),
        targets=(target(plan, stage).name,),
        output=output,
        recipe=_recipe(arch, t),
        fit_batches=not t.batch_size,
        split=SplitPlan(fractions=t.fractions),
        start=StartPlan(start, freeze_norm=t.freeze_norm),
        seed=plan.settings.seed,
        device=plan.device,
        threads=plan.threads,
        pictures=plan.pictures,
    )


def _recipe(arch: Architecture, keys: Training) -> Recipe:
    """What suits the architecture and its head, but for what the plan says."""
    head = cast(Head, registry().get("head", arch.head))
    said: dict[str, Any] = {"epochs": keys.epochs, "lr": keys.lr, "batch_size": keys.batch_size}
    said |= {"residual_of": "" if keys.residual_of == "suited" else keys.residual_of}
    return replace(arch.recipe, **{**head.recipe, **{key: value for key, value in said.items() if value}})


def _refuse_other_parts(path: Path, arch: str, given: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse parts and options that a training from the model at ``path`` would not follow.

    Raises:
        UsageError: says which. InputError, UnsafeInput: no model there.
    """
    spec = read_head(file_of(path))["spec"]
    if spec["architecture"]["name"] != arch:
        raise UsageError(f"is of architecture {spec['architecture']['name']}, the plan says {arch}", path=path)
    for family, kind in (("architecture", "architecture"), ("head", "head"), ("featurizer", "embedding")):
        mine = spec[kind]["options"]
        for name, value in given[family].items():
            if name in mine and mine[name] != value:
                raise UsageError(f"was trained with {name} = {mine[name]}, the plan says {value}", path=path)


def _refuse_other_target(path: Path, plan: CampaignPlan, stage: int) -> None:
    """Refuse to learn a difference from a model of energies, and the other way round.

    Raises:
        UsageError: says which.
    """
    (there, *_) = read_head(file_of(path))["spec"]["targets"]
    if (there["name"] == DIFFERENCE.name) != plan.learns_difference(stage):
        wanted = target(plan, stage).name
        raise UsageError(f"predicts {there['name']}; stage '{plan.stages[stage].name}' learns {wanted}", path=path)


def _dealt(tables: Mapping[str, Mapping[str, Any]], arch: Architecture) -> dict[str, dict[str, Any]]:
    """Options of ``[training.NAME]`` by family; an architecture and its featurizer may have one name.

    Raises:
        UsageError: a table or an option that belongs to no part.
    """
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


def recipe_of(plan: TrainingPlan) -> GraphRecipe:
    """How graphs are made: as the model that training starts from needs them, or by the featurizer's defaults."""
    if plan.start.model:
        return recipe_in_head(read_head(file_of(Path(plan.start.model))))
    part = cast(Featurizer, registry().get("featurizer", plan.featurizer))
    options = opt.to_dict(opt.make(part.options, {}, owner=f"featurizer {part.name}"))
    chosen = (
        ("featurizer", plan.featurizer, plan.embed_options),
        ("architecture", plan.architecture, plan.architecture_options),
        ("head", plan.head, plan.head_options),
    )
    return GraphRecipe(part.name, options, fields_read(chosen))
