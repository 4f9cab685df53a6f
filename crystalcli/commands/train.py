"""``crystal train``: graph cache → model with its honest test error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, names
from crystalcli.commands.runs import given, home, refuse_changes, rerunnable
from crystalcli.commands.shared import Device, DryRun, Json, Overwrite, Pictures, Quiet, Seed, Threads, TimeLimit
from crystalcli.contracts.records import Architecture, Choice, Featurizer, Head, PartFlags, Recipe
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import DEFAULT

SPLIT, RECIPE = "Split", "Recipe (defaults suit the architecture)"
START = "Starting from a trained model"
GENTLER = 0.2
"""Share of the usual learning rate with which a trained model is trained on."""

FREE = frozenset({"resume", "finish", "threads", "device", "time_limit", "pictures", "json", "quiet"})
"""Options that may go with ``--resume``; all others are those of the run's beginning."""


def _chosen(word: Callable[[str, str | None], str | None]) -> Choice:
    reg = registry()
    origin = word("--from", None)
    if origin:
        return _of_model(Path(origin), word)
    arch = cast(Architecture, reg.get("architecture", word("--arch", None) or reg.default("architecture")))
    head = cast(Head, reg.get("head", word("--head", arch.head) or arch.head))
    featurizer = cast(Featurizer, reg.get("featurizer", word("--featurizer", arch.featurizer) or arch.featurizer))
    wanted = arch.partner_options
    sources = [
        PartFlags(featurizer, featurizer.embed_options, wanted.get(featurizer.name, {})),
        PartFlags(arch, arch.options),
        PartFlags(head, head.options, wanted.get(head.name, {})),
    ]
    recipe = {**asdict(arch.recipe), **head.recipe}
    return Choice(sources, {"head": head.name, "featurizer": featurizer.name, **recipe})


def _of_model(path: Path, word: Callable[[str, str | None], str | None]) -> Choice:
    """The parts of a trained model: fixed, but for a new head."""
    spec = _spec(path)
    arch = cast(Architecture, registry().get("architecture", spec["architecture"]["name"]))
    name = word("--head", spec["head"]["name"]) or spec["head"]["name"]
    head = cast(Head, registry().get("head", name))
    recipe = {**asdict(arch.recipe), **head.recipe}
    recipe["lr"] *= GENTLER
    defaults = {"arch": arch.name, "head": name, "featurizer": spec["graph"]["name"], **recipe}
    return Choice([PartFlags(head, head.options, arch.partner_options.get(name, {}))], defaults)


def _spec(path: Path) -> dict[str, Any]:
    from crystalcli.mechanisms.models.model_head import file_of, read_head

    spec: dict[str, Any] = read_head(file_of(path))["spec"]
    return spec


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("train", cls=plugin_command(_chosen))(train)


def train(
    ctx: typer.Context,
    caches: Annotated[list[Path] | None, typer.Argument(help="graph caches, read as one; default graphs.h5")] = None,
    *,
    arch: Annotated[
        str,
        typer.Option(
            autocompletion=names("architecture"), default_factory=DefaultPart("architecture"), help="architecture"
        ),
    ],
    head: Annotated[str | None, typer.Option(autocompletion=names("head"), help="head")] = None,
    featurizer: Annotated[
        str | None, typer.Option(autocompletion=names("featurizer"), help="what made the caches")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="label (or text column) to learn; several times for several")
    ] = None,
    task: Annotated[
        Literal["auto", "regression", "classification"],
        typer.Option(help="auto: words are classes, numbers are numbers; classification: whole numbers are classes"),
    ] = "auto",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="run folder; default runs/DATE-ARCH, which runs/latest then leads to"),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="go on with the run in this folder")] = None,
    finish: Annotated[
        Path | None, typer.Option(metavar="RUN", help="end the stopped run in this folder with its best epoch")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="model file, ensemble or run folder to start from", rich_help_panel=START),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(help="weights that stay as they are: architecture.embed.*", rich_help_panel=START),
    ] = None,
    lr_factor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN=FACTOR", help="weights that learn more slowly: features.*=0.1", rich_help_panel=START
        ),
    ] = None,
    freeze_norm: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="keep statistics of batch norms; auto: below 200 structures", rich_help_panel=START),
    ] = "auto",
    new_head: Annotated[
        bool, typer.Option("--new-head", help="keep features and architecture only", rich_help_panel=START)
    ] = False,
    refit_normaliser: Annotated[
        bool,
        typer.Option("--refit-normaliser", help="means and scales of the new labels", rich_help_panel=START),
    ] = False,
    train: Annotated[list[Path] | None, typer.Option(help="caches of the training part", rich_help_panel=SPLIT)] = None,
    val: Annotated[list[Path] | None, typer.Option(help="caches of the validation part", rich_help_panel=SPLIT)] = None,
    test: Annotated[list[Path] | None, typer.Option(help="caches of the test part", rich_help_panel=SPLIT)] = None,
    split: Annotated[
        Literal["auto", "random", "stratified", "formula", "group", "element", "time"],
        typer.Option(
            help="auto: by formula; of few formulas time blocks where frames continue each other, else stratified "
            "(every kind of configuration by its share: composition, size, config_type)",
            rich_help_panel=SPLIT,
        ),
    ] = "auto",
    fractions: Annotated[str, typer.Option(help="train,validation,test", rich_help_panel=SPLIT)] = "0.8,0.1,0.1",
    split_file: Annotated[
        Path | None, typer.Option(help="JSON: lists of ids under train, val, test", rich_help_panel=SPLIT)
    ] = None,
    split_column: Annotated[
        str, typer.Option(help="text column that says train, val or test", rich_help_panel=SPLIT)
    ] = "",
    group: Annotated[
        str, typer.Option(help="text column whose equal values stay together", rich_help_panel=SPLIT)
    ] = "",
    leave_out: Annotated[
        str, typer.Option(help="element; structures with it are the test part", rich_help_panel=SPLIT)
    ] = "",
    folds: Annotated[int, typer.Option(help="k-fold: number of folds; 0: none", min=0, rich_help_panel=SPLIT)] = 0,
    fold: Annotated[int, typer.Option(help="k-fold: the test fold, from 0", min=0, rich_help_panel=SPLIT)] = 0,
    all_folds: Annotated[
        bool, typer.Option("--all-folds", help="k-fold: a run for every fold; mean and spread", rich_help_panel=SPLIT)
    ] = False,
    train_size: Annotated[
        int, typer.Option(help="so many training structures only; 0: all", min=0, rich_help_panel=SPLIT)
    ] = 0,
    gap: Annotated[
        int, typer.Option(help="frames left out between time blocks; -1: estimated", min=-1, rich_help_panel=SPLIT)
    ] = -1,
    rounds: Annotated[
        int, typer.Option(help="time blocks: repeats of the pattern in a run; 0: decided", min=0, rich_help_panel=SPLIT)
    ] = 0,
    loss: Annotated[Literal["l1", "mse", "huber"], typer.Option(help="loss", rich_help_panel=RECIPE)] = "l1",
    optimizer: Annotated[
        Literal["adam", "adamw", "sgd"], typer.Option(help="optimizer", rich_help_panel=RECIPE)
    ] = "adamw",
    lr: Annotated[float, typer.Option(help="peak learning rate", min=0.0, rich_help_panel=RECIPE)] = 2e-3,
    momentum: Annotated[float, typer.Option(help="of sgd", min=0.0, max=1.0, rich_help_panel=RECIPE)] = 0.9,
    shuffle_window: Annotated[
        int,
        typer.Option(
            help="structures shuffled at a time, for caches larger than memory; 0: all", min=0, rich_help_panel=RECIPE
        ),
    ] = 0,
    weight_decay: Annotated[float, typer.Option(help="weight decay", min=0.0, rich_help_panel=RECIPE)] = 0.0,
    batch_size: Annotated[
        int,
        typer.Option(
            help="structures per step; fewer by default where structures are few", min=1, rich_help_panel=RECIPE
        ),
    ] = 64,
    epochs: Annotated[int, typer.Option(help="epochs; 0 with --from: only test", min=0, rich_help_panel=RECIPE)] = 100,
    schedule: Annotated[
        Literal["constant", "plateau", "cosine", "one-cycle", "step"],
        typer.Option(help="learning-rate schedule", rich_help_panel=RECIPE),
    ] = "one-cycle",
    step_epochs: Annotated[
        int, typer.Option(help="epochs to a drop of step, or without gain of plateau", min=1, rich_help_panel=RECIPE)
    ] = 10,
    gamma: Annotated[
        float, typer.Option(help="factor of a drop (step, plateau)", min=0.0, max=1.0, rich_help_panel=RECIPE)
    ] = 0.5,
    clip: Annotated[float, typer.Option(help="largest gradient norm; 0: any", min=0.0, rich_help_panel=RECIPE)] = 10.0,
    ema: Annotated[
        float, typer.Option(help="decay of the weight average; 0: none", min=0.0, max=0.999999, rich_help_panel=RECIPE)
    ] = 0.0,
    patience: Annotated[
        int, typer.Option(help="stop after so many epochs without gain; 0: never", min=0, rich_help_panel=RECIPE)
    ] = 0,
    residual_of: Annotated[
        Literal["auto", "none", "mean", "elements", "pairs"],
        typer.Option(
            help="baseline that the model corrects; auto: that with the least leave-one-out error",
            rich_help_panel=RECIPE,
        ),
    ] = "none",
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:OPTION=VALUE,…]",
            help="fit this for the report, too: krr (sine Coulomb matrices), boosting (compositions; scikit-learn)",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    paper_baselines: Annotated[
        bool,
        typer.Option(
            "--paper-baselines",
            help="site values: means of elements from all labels, the test part's too, as published",
            rich_help_panel=RECIPE,
        ),
    ] = False,
    checkpoint_every: Annotated[
        float, typer.Option(help="seconds between two training states", min=0.0, rich_help_panel=RECIPE)
    ] = 20.0,
    seed: Seed = 0,
    seeds: Annotated[
        int, typer.Option(help="train so many times, from --seed upwards, on one split; mean and spread", min=1)
    ] = 1,
    ensemble: Annotated[
        int, typer.Option(help="train so many members, each on its own train/validation split, as one model", min=0)
    ] = 0,
    learning_curve: Annotated[
        str,
        typer.Option(
            metavar="60,250,…", help="train with so many structures each, one test part; with --from both ways"
        ),
    ] = "",
    compare: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=names("architecture"),
            help="train this architecture beside the model: same recipe, split, seeds; several times for several;"
            " default: what the head is measured by",
        ),
    ] = None,
    no_compare: Annotated[bool, typer.Option("--no-compare", help="train nothing beside the model")] = False,
    device: Device = "auto",
    threads: Threads = 0,
    time_limit: TimeLimit = "",
    pictures: Pictures = DEFAULT,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on cached graphs and evaluate it on its untouched test part."""
    from crystalcli.commands.training_face import TrainingFace
    from crystalcli.workflows.train.training_curve import Curve
    from crystalcli.workflows.train.training_plan import SplitPlan, StartPlan, TrainingPlan
    from crystalcli.workflows.train.training_series import Series

    face = TrainingFace(Face(json=json, quiet=quiet), time_limit)
    if resume is not None and finish is not None:
        raise UsageError("--resume goes on and --finish ends; give one of them")
    if (folder := resume or finish) is not None:
        refuse_changes(ctx, FREE)
        changes = {k: v for k, v in (("threads", threads), ("device", device), ("pictures", pictures)) if given(ctx, k)}
        face.resume(folder, changes, end=finish is not None)
        return
    part = cast(Architecture, registry().get("architecture", arch))
    head = head or part.head
    if not epochs and from_ is None:
        raise UsageError("--epochs 0 trains nothing; it goes with --from MODEL")
    if head != part.head and from_ is not None and head != _spec(from_)["head"]["name"] and not new_head:
        raise UsageError(f"the model has head '{_spec(from_)['head']['name']}'; --new-head puts '{head}' in its place")
    if compare and no_compare:
        raise UsageError("--compare and --no-compare contradict each other")
    plan = TrainingPlan(
        caches=_texts(caches or ([] if train else [Path("graphs.h5")])),
        train=_texts(train),
        val=_texts(val),
        test=_texts(test),
        output=home(ctx, output, arch),
        latest=output is None,
        targets=tuple(target or ()),
        task=task,
        architecture=arch,
        architecture_options=_values(ctx, "architecture", arch),
        head=head,
        head_options=_values(ctx, "head", head),
        featurizer=featurizer or part.featurizer,
        embed_options=_values(ctx, "featurizer", featurizer or part.featurizer),
        start=StartPlan(
            str(from_ or ""), tuple(freeze or ()), freeze_norm, new_head, refit_normaliser, tuple(lr_factor or ())
        ),
        train_size=train_size,
        split=SplitPlan(
            kind=split,
            fractions=fractions,
            file=str(split_file or ""),
            column=split_column,
            group=group,
            element=leave_out,
            folds=folds,
            fold=fold,
            gap=gap,
            rounds=rounds,
        ),
        recipe=Recipe(
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            weight_decay=weight_decay,
            batch_size=batch_size,
            epochs=epochs,
            schedule=schedule,
            clip=clip,
            ema=ema,
            patience=patience,
            residual_of=residual_of,
        ),
        fit_batches=not given(ctx, "batch_size"),
        momentum=momentum,
        shuffle_window=shuffle_window,
        step_epochs=step_epochs,
        gamma=gamma,
        compare=() if no_compare else tuple(dict.fromkeys(compare or _yardsticks(part, head, featurizer, from_))),
        seed=seed,
        device=device,
        threads=threads,
        pictures=pictures,
        baselines=tuple(baseline or ()),
        paper_baselines=paper_baselines,
        checkpoint_every=checkpoint_every,
        overwrite=overwrite,
    )
    plan = replace(plan, config=rerunnable(ctx, "train", caches=list(plan.caches)))
    if ensemble and seeds > 1:
        raise UsageError("--ensemble and --seeds do not go together: members are other seeds already")
    if all_folds:
        if folds < 2:
            raise UsageError("--all-folds needs their number: --folds 5")
        others = {"--fold": given(ctx, "fold"), "--seeds": seeds > 1, "--ensemble": ensemble > 0}
        others["--learning-curve"] = bool(learning_curve)
        if asked := [name for name, is_asked in others.items() if is_asked]:
            raise UsageError(f"--all-folds and {asked[0]} do not go together")
    series = Series(ensemble or seeds, ensemble > 0, all_folds)
    curve = None
    if learning_curve:
        curve = Curve.parse(learning_curve, lr if given(ctx, "lr") or from_ is None else lr / GENTLER)
    if dry_run:
        face.describe(plan, series, curve)
    else:
        face.run(plan, series, curve)


def _yardsticks(part: Architecture, head: str, featurizer: str | None, start: Path | None) -> list[str]:
    """What the head is measured by, of that what can be built on the graphs; nothing beside a model trained on."""
    if start is not None:
        return []
    offered = registry().parts
    gives = cast(Featurizer, registry().get("featurizer", featurizer or part.featurizer)).provides
    named = [n for n in cast(Head, registry().get("head", head)).yardsticks if n != part.name]
    return [n for n in named if ("architecture", n) in offered and registry().get("architecture", n).requires <= gives]


def _values(ctx: typer.Context, family: str, name: str) -> dict[str, Any]:
    """Options of a chosen part; none of one that a trained model brings along."""
    given = ctx.obj.get((family, name))
    return given.values if given else {}


def _texts(paths: list[Path] | None) -> tuple[str, ...]:
    return tuple(str(p) for p in paths or ())
