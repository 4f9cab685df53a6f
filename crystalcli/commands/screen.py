"""``crystal screen``: candidates + ensemble → which are worth the next step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from crystalcli.commands.command import plugin_command, unasked
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, names
from crystalcli.commands.runs import given, home, refuse_beside, refuse_changes, rerunnable
from crystalcli.commands.shared import (
    TRANSIENT,
    Device,
    DryRun,
    Json,
    Overwrite,
    Pictures,
    Quiet,
    Seed,
    Threads,
    TimeLimit,
)
from crystalcli.contracts.records import Architecture, Choice, Featurizer, PartFlags
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import DEFAULT
from crystalcli.vocabulary.thresholds import Threshold

CALL = frozenset({"output", "device", "threads", "jobs", "scheduler", "time_limit", "pictures"})
OF_CAMPAIGN = frozenset({"candidates", "campaign"}) | CALL | TRANSIENT
"""Parameters that go with ``--campaign``; its plan says all else."""
FREE = frozenset({"resume", "threads", "device", "time_limit", "pictures", "json", "quiet"})
"""Options that may go with ``--resume``; all others are those of the run's beginning."""

HULL, TRAINING = "Hull and decision", "Training (without --model)"


def _chosen(word: Callable[[str, str | None], str | None]) -> Choice:
    """The parts of the ensemble that is to be trained; none with a model, or where a plan says them."""
    if word("--model", None) or word("--campaign", None):
        return Choice([])
    reg = registry()
    arch = cast(Architecture, reg.get("architecture", word("--arch", None) or reg.default("architecture")))
    head, featurizer = reg.get("head", arch.head), cast(Featurizer, reg.get("featurizer", arch.featurizer))
    wanted = arch.partner_options
    sources = [
        PartFlags(featurizer, featurizer.embed_options, wanted.get(featurizer.name, {})),
        PartFlags(arch, arch.options),
        PartFlags(head, head.options, wanted.get(head.name, {})),
    ]
    return Choice(sources, {"epochs": arch.recipe.epochs, "lr": arch.recipe.lr, "batch_size": arch.recipe.batch_size})


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("screen", cls=plugin_command(_chosen))(screen)


def screen(
    ctx: typer.Context,
    candidates: Annotated[
        list[str] | None,
        typer.Argument(
            help="structure files or graph caches; without --model one cache (default graphs.h5) whose labelled part "
            "trains and whose rest is screened"
        ),
    ] = None,
    *,
    campaign: Annotated[
        Path | None,
        typer.Option(
            help="plan of a staged screening (TOML): relaxes, trains and decides stage by stage; the same command "
            "again goes on after a stop or a kill"
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="trained ensemble: model file or run folder")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="run folder; default runs/DATE-screen, or runs/PLAN of a campaign; runs/latest then leads to it",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="go on with the screening (of one step) in this folder")
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="a candidate goes if E_hull is larger: 2sigma, 2σ, 50meV, 0.05eV (per atom)", rich_help_panel=HULL
        ),
    ] = "2sigma",
    references: Annotated[
        list[str] | None,
        typer.Option(
            help="files or caches with phases of known formation energy; elements are added", rich_help_panel=HULL
        ),
    ] = None,
    reference_label: Annotated[
        str, typer.Option(help="what the references call it; default the model's target", rich_help_panel=HULL)
    ] = "",
    robust: Annotated[
        float,
        typer.Option(
            help="candidates with sigma_e above this quantile do not shape the hull; 1: all do",
            min=0.0,
            max=1.0,
            rich_help_panel=HULL,
        ),
    ] = 1.0,
    ensemble: Annotated[int, typer.Option(help="members to train", min=2, rich_help_panel=TRAINING)] = 5,
    arch: Annotated[
        str,
        typer.Option(
            autocompletion=names("architecture"),
            default_factory=DefaultPart("architecture"),
            help="architecture",
            rich_help_panel=TRAINING,
        ),
    ],
    target: Annotated[str, typer.Option(help="label that is the formation energy", rich_help_panel=TRAINING)] = "",
    epochs: Annotated[int, typer.Option(help="epochs", min=1, rich_help_panel=TRAINING)] = 150,
    lr: Annotated[float, typer.Option(help="peak learning rate", min=0.0, rich_help_panel=TRAINING)] = 5e-3,
    batch_size: Annotated[int, typer.Option(help="structures per step", min=1, rich_help_panel=TRAINING)] = 128,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 0,
    jobs: Annotated[
        int,
        typer.Option("-j", "--jobs", help="campaign: relaxations or commands at a time", min=1, rich_help_panel="Run"),
    ] = 1,
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="campaign: Dask cluster that relaxes: address, file, slurm:QUEUE:JOBS",
            rich_help_panel="Run",
        ),
    ] = "",
    time_limit: TimeLimit = "",
    pictures: Pictures = DEFAULT,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Screen candidate phases: predict, build the convex hull, decide with the uncertainty of the prediction.

    Writes screening.csv (formation energy, sigma, distance to the hull, decision and its reason for every candidate),
    survivors.txt and pictures of the hulls into the run folder. With --campaign all stages of a screening:
    decisions.csv says of every candidate how far it came and why, stages.csv what every stage cost.
    """
    if resume is not None:
        from crystalcli.commands.screening_face import ScreeningFace

        refuse_changes(ctx, FREE, "candidates")
        changes = {k: v for k, v in (("threads", threads), ("device", device), ("pictures", pictures)) if given(ctx, k)}
        raise typer.Exit(ScreeningFace(Face(json=json, quiet=quiet), time_limit).resume(resume, changes))
    if campaign is not None:
        refuse_beside(ctx, "--campaign", OF_CAMPAIGN, "write it into the plan")
        from crystalcli.commands.campaign_face import CampaignFace

        plans = CampaignFace(Face(json=json, quiet=quiet), time_limit)
        call = {"device": device, "threads": threads, "jobs": jobs, "scheduler": scheduler}
        call |= {"overwrite": overwrite, "latest": output is None, "pictures": pictures}
        where = output or Path("runs") / campaign.stem
        call |= {"output": str(where), "config": rerunnable(ctx, "screen")}
        by = unasked(ctx, "campaign")
        raise typer.Exit(plans.run(campaign, candidates or [], call, dry_run=dry_run, unasked=by))
    if scheduler:
        raise UsageError("--scheduler is for the relaxations of a --campaign")
    Threshold.parse(threshold)
    from crystalcli.commands.screening_face import ScreeningFace
    from crystalcli.workflows.screen.screening_plan import ScreeningPlan
    from crystalcli.workflows.train.training_plan import TrainingPlan

    if model is not None and not candidates:
        raise UsageError("which candidates? name structure files or graph caches")
    inputs = tuple(candidates or ["graphs.h5"])
    folder = home(ctx, output, "screen")
    training = None
    if model is None:
        part = cast(Architecture, registry().get("architecture", arch))
        training = TrainingPlan(
            architecture=arch,
            architecture_options=ctx.obj["architecture", arch].values,
            head=part.head,
            head_options=ctx.obj["head", part.head].values,
            featurizer=part.featurizer,
            embed_options=ctx.obj["featurizer", part.featurizer].values,
            recipe=replace(part.recipe, epochs=epochs, lr=lr, batch_size=batch_size),
            fit_batches=ctx.get_parameter_source("batch_size").name == "DEFAULT",  # type: ignore[union-attr]
            targets=(target,) if target else (),
            output=folder,
            seed=seed,
            device=device,
            threads=threads,
            pictures=pictures,
        )
    plan = ScreeningPlan(
        output=folder,
        candidates=inputs,
        model=str(model or ""),
        references=tuple(references or ()),
        reference_label=reference_label,
        target=target,
        threshold=threshold,
        robust=robust,
        ensemble=ensemble,
        training=training,
        device=device,
        threads=threads,
        pictures=pictures,
        latest=output is None,
        overwrite=overwrite,
        config=rerunnable(ctx, "screen", candidates=list(inputs)),
    )
    face = ScreeningFace(Face(json=json, quiet=quiet), time_limit)
    raise typer.Exit(face.describe(plan) if dry_run else face.run(plan))
