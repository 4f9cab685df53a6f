"""``crystal md``: structures + potential → molecular dynamics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, names
from crystalcli.commands.runs import given, home, rerunnable, typed
from crystalcli.commands.shared import Device, DryRun, Json, Overwrite, Pictures, Quiet, Seed, Threads, TimeLimit
from crystalcli.contracts.records import PartFlags
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import DEFAULT

if TYPE_CHECKING:
    from crystalcli.workflows.graphs.supervised_reading import Reading

OUT, GUARDS = "Output", "Guards"
DEFAULT_STEPS = 1000
FREE = frozenset({"resume", "threads", "device", "time_limit", "pictures", "json", "quiet", "dry_run"})
"""Options that may go with ``--resume`` as one likes; all others must be those of the run's beginning."""


def _chosen(word: Callable[[str, str | None], str | None]) -> list[PartFlags]:
    sampler = registry().get("sampler", word("--sampler", None) or registry().default("sampler"))
    found = [PartFlags(sampler, sampler.options)]
    named = word("--potential", None)
    if not named:
        return found
    from crystalcli.mechanisms.forces import potential_names

    if potential_names.model_file(named) is None and ("calculator", named) in registry().parts:
        calculator = registry().get("calculator", named)
        found.append(PartFlags(calculator, calculator.options))
    return found


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("md", cls=plugin_command(_chosen))(md)


def md(
    ctx: typer.Context,
    structures: Annotated[list[str] | None, typer.Argument(help="files, folders, quoted globs or lists")] = None,
    potential: Annotated[
        str | None,
        typer.Option(autocompletion=names("calculator"), help="model file, run folder, or name of a calculator"),
    ] = None,
    *,
    sampler: Annotated[
        str,
        typer.Option(
            autocompletion=names("sampler"), default_factory=DefaultPart("sampler"), help="what moves the atoms"
        ),
    ],
    temperature: Annotated[
        str,
        typer.Option(help="K; ramps and stages as 300:600 or 300@1ps,300:600@2ps,600, or FILE.toml with [[stage]]"),
    ] = "300",
    steps: Annotated[
        int | None,
        typer.Option(help="steps in all, of a resumed run too; default 1000, or what --temperature says", min=0),
    ] = None,
    time: Annotated[float | None, typer.Option(help="the same as a time (ps)", min=0.0)] = None,
    dt: Annotated[float, typer.Option(help="length of a step (fs)", min=1e-4, max=1000.0)] = 1.0,
    velocities: Annotated[
        Literal["auto", "random", "file"],
        typer.Option(help="of the beginning; auto: those in the file, else random at exactly the first temperature"),
    ] = "auto",
    dtype: Annotated[
        Literal["float64", "float32"], typer.Option(help="in which a model evaluates; motion is float64")
    ] = "float64",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="run folder; default runs/DATE-SAMPLER, which runs/latest then leads to",
            rich_help_panel=OUT,
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="go on with the run in this folder", rich_help_panel=OUT)
    ] = None,
    log_every: Annotated[
        int, typer.Option(help="steps between two rows of thermo.csv", min=1, rich_help_panel=OUT)
    ] = 10,
    frame_every: Annotated[
        int, typer.Option(help="steps between two frames of trajectory.extxyz", min=1, rich_help_panel=OUT)
    ] = 100,
    analysis: Annotated[
        bool, typer.Option("--analysis/--no-analysis", help="g(r), bonds, … at the end", rich_help_panel=OUT)
    ] = True,
    analysis_from: Annotated[
        float, typer.Option(help="ps from which on they are taken; -1: the second half", min=-1.0, rich_help_panel=OUT)
    ] = -1.0,
    checkpoint_every: Annotated[
        float, typer.Option(help="seconds between two restart records", min=0.0, rich_help_panel=OUT)
    ] = 20.0,
    drift_every: Annotated[
        float,
        typer.Option(help="ps over which the drift of the conserved energy is taken", min=0.0, rich_help_panel=GUARDS),
    ] = 1.0,
    max_drift: Annotated[
        float, typer.Option(help="stop beyond this drift (meV/atom/ps); 0: only warn", min=0.0, rich_help_panel=GUARDS)
    ] = 0.0,
    max_sigma: Annotated[
        float, typer.Option(help="an ensemble's spread to warn of (meV/atom); 0: none", min=0.0, rich_help_panel=GUARDS)
    ] = 0.0,
    stop_on_sigma: Annotated[
        int, typer.Option(help="rows in a row beyond --max-sigma to stop at; 0: never", min=0, rich_help_panel=GUARDS)
    ] = 0,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 0,
    time_limit: TimeLimit = "",
    pictures: Pictures = DEFAULT,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run molecular dynamics of structures, side by side; a run that was stopped goes on with the same bits."""
    from crystalcli.mechanisms.dynamics import temperature_program
    from crystalcli.mechanisms.forces import potential_names
    from crystalcli.workflows.md.sampling_plan import SamplingPlan

    face = Face(json=json, quiet=quiet)
    if resume is not None:
        from crystalcli.commands.md_face import DynamicsFace

        changes: dict[str, Any] = {
            k: v for k, v in (("threads", threads), ("device", device), ("pictures", pictures)) if given(ctx, k)
        }
        changes |= {k: v for k, v in (("steps", steps), ("time", time)) if v is not None}
        raise typer.Exit(DynamicsFace(face, time_limit).resume(resume, changes, _asked(ctx)))
    if not structures:
        raise UsageError("no structures; give files, folders or quoted globs")
    if potential is None:
        known = ", ".join(registry().names("calculator"))
        raise UsageError(f"no potential; give --potential a model file, a run folder or one of {known}")
    program = temperature_program.parse(temperature, dt=dt, steps=_steps(steps, time, dt), default=DEFAULT_STEPS)
    calculator = ctx.obj.get(("calculator", potential))
    plan = SamplingPlan(
        structures=tuple(structures),
        potential=potential if potential_names.model_file(potential) is None else str(Path(potential).absolute()),
        potential_options=calculator.values if calculator else {},
        dtype=dtype,
        sampler=sampler,
        sampler_options=ctx.obj["sampler", sampler].values,
        temperature=program.text(),
        steps=program.steps if steps is None and time is None else _steps(steps, time, dt) or 0,
        dt=dt,
        velocities=velocities,
        log_every=log_every,
        frame_every=frame_every,
        drift_every=max(1, round(drift_every * 1e3 / dt)),
        max_drift=max_drift,
        max_sigma=max_sigma,
        stop_on_sigma=stop_on_sigma,
        analysis=analysis,
        analysis_from=analysis_from,
        checkpoint_every=checkpoint_every,
        seed=seed,
        device=device,
        threads=threads,
        pictures=pictures,
        output=home(ctx, output, sampler),
        latest=output is None,
        overwrite=overwrite,
    )
    plan = replace(plan, config=rerunnable(ctx, "md", temperature=plan.temperature))
    with _begun(plan.structures) as read:
        from crystalcli.commands.md_face import DynamicsFace

        shown = DynamicsFace(face, time_limit)
        raise typer.Exit(shown.describe(plan, read) if dry_run else shown.run(plan, read))


def _begun(structures: Sequence[str]) -> Reading:
    """The reading of the structures: its process begins while torch, which takes longest, is loaded."""
    from crystalcli.mechanisms.structure_files.inputs import expand
    from crystalcli.nouns.structures.read_options import UNLABELLED
    from crystalcli.workflows.graphs.supervised_reading import Reading

    return Reading(expand(structures), UNLABELLED, fork=True)


def _steps(steps: int | None, time: float | None, dt: float) -> int | None:
    if time is None:
        return steps
    if steps is not None:
        raise UsageError("--steps and --time say the same; give one of them")
    return round(time * 1e3 / dt)


def _asked(ctx: typer.Context) -> dict[str, Any]:
    """What was typed beside ``--resume`` and must agree with the run: names as in its config.toml."""
    found = {n: ctx.params[n] for n in typed(ctx, FREE) if ctx.params[n] is not None}
    for (_, part), options in ctx.obj.items():
        found |= {f"{part}.{n}": v for n, v in options.explicit.items()}
    return found
