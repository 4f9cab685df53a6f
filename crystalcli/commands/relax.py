"""``crystal relax``: structures + potential → relaxed structures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from crystalcli.commands.command import plugin_command
from crystalcli.commands.console import Face
from crystalcli.commands.plugin_flags import DefaultPart, Source, names
from crystalcli.commands.runs import given, home, refuse_changes, rerunnable
from crystalcli.commands.shared import Device, DryRun, Json, Overwrite, Quiet, Scheduler, Threads, TimeLimit
from crystalcli.mechanisms.forces import potential_names
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError

GOAL, HELD = "When a structure is done", "Atoms that are held (beside those that the file holds)"

FREE = frozenset({"resume", "threads", "jobs", "scheduler", "time_limit", "json", "quiet"})
"""Options that may go with ``--resume``; all others are those of the run's beginning."""


def _chosen(word: Callable[[str, str | None], str | None]) -> list[Source]:
    relaxer = registry().get("relaxer", word("--relaxer", None) or registry().default("relaxer"))
    sources = [Source(relaxer, relaxer.options)]
    potential = word("--potential", None)
    calculator = potential_names.calculator(potential) if potential else None
    return sources + ([Source(calculator, calculator.options)] if calculator else [])


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command("relax", cls=plugin_command(_chosen))(relax)


def relax(
    ctx: typer.Context,
    structures: Annotated[
        list[str] | None,
        typer.Argument(help="files, folders, quoted globs, lists (@list.txt), or - for a list on stdin"),
    ] = None,
    potential: Annotated[
        str,
        typer.Option(autocompletion=names("calculator"), help="model file, run folder, or name of a calculator"),
    ] = "",
    *,
    relaxer: Annotated[
        str,
        typer.Option(
            autocompletion=names("relaxer"), default_factory=DefaultPart("relaxer"), help="what moves the atoms"
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="run folder; default runs/DATE-relax, which runs/latest then leads to"),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="go on with the run in this folder")] = None,
    cif: Annotated[bool, typer.Option("--cif", help="write a CIF of every relaxed crystal, too")] = False,
    trajectory_every: Annotated[
        int, typer.Option(help="write the way of every structure, a frame every so many moves; 0: none", min=0)
    ] = 0,
    symprec: Annotated[
        float, typer.Option(help="tolerance of the space groups before and after, Å", min=1e-6, max=1.0)
    ] = 0.01,
    cell: Annotated[
        Literal["none", "isotropic", "full"], typer.Option(help="what of the cell is free", rich_help_panel=GOAL)
    ] = "none",
    pressure: Annotated[float, typer.Option(help="of the surroundings, GPa", rich_help_panel=GOAL)] = 0.0,
    fmax: Annotated[
        float, typer.Option(help="every force is below, eV/Å; 0 is never reached", rich_help_panel=GOAL)
    ] = (0.02),
    smax: Annotated[
        float,
        typer.Option(
            help="every stress component, less the pressure, is below, GPa (free cells)", rich_help_panel=GOAL
        ),
    ] = 0.05,
    steps: Annotated[int, typer.Option(help="moves at most; 0 evaluates only", rich_help_panel=GOAL)] = 500,
    max_seconds_per_structure: Annotated[
        float,
        typer.Option(help="time for one structure; a batch's time is shared by atoms; 0: any", rich_help_panel=GOAL),
    ] = 0.0,
    fix_elements: Annotated[str, typer.Option(help="hold all atoms of these: Al,O", rich_help_panel=HELD)] = "",
    fix_below: Annotated[
        float | None, typer.Option(help="hold atoms with a lower z, Å (a slab's bottom)", rich_help_panel=HELD)
    ] = None,
    fix_indices: Annotated[
        str, typer.Option(help="hold these atoms, counted from 0: 0,3-5", rich_help_panel=HELD)
    ] = "",
    batch_size: Annotated[int, typer.Option(help="structures relaxed, and kept, together", min=1)] = 16,
    device: Device = "auto",
    dtype: Annotated[Literal["float64", "float32"], typer.Option(help="precision in which a model works")] = "float64",
    threads: Threads = 0,
    jobs: Annotated[int, typer.Option("-j", "--jobs", help="worker processes", min=1, rich_help_panel="Run")] = 1,
    scheduler: Scheduler = "",
    time_limit: TimeLimit = "",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Relax structures: move atoms, and cells if wanted, until the forces vanish.

    Writes relaxed.extxyz (energy, forces, stress; full precision) and relaxation.csv into the run folder.
    A structure that does not converge, fails or trips a guard keeps its last sane geometry and is reported with
    converged: false and its reason; the others go on and the exit code is 3.
    The same command again, or --resume RUN, goes on after a stop or a kill.
    """
    from crystalcli.commands.relaxation_face import RelaxationFace
    from crystalcli.mechanisms.structure_files.inputs import expand
    from crystalcli.workflows.relax.relaxation_plan import RelaxationPlan

    face = RelaxationFace(Face(json=json, quiet=quiet), time_limit)
    if resume is not None:
        refuse_changes(ctx, FREE, "structures")
        changes = {"threads": threads, "jobs": jobs, "scheduler": scheduler}
        raise typer.Exit(face.resume(resume, {k: v for k, v in changes.items() if given(ctx, k)}))
    if not structures:
        raise UsageError("no structures; name files, folders or a quoted glob")
    if not potential:
        known = ", ".join(registry().names("calculator"))
        raise UsageError(f"which potential? give --potential MODEL or --potential NAME ({known})")
    calculator = potential_names.calculator(potential)
    plan = RelaxationPlan(
        inputs=tuple(str(p) for p in expand(structures)),
        potential=potential,
        potential_options=ctx.obj["calculator", calculator.name].values if calculator else {},
        relaxer=relaxer,
        relaxer_options=ctx.obj["relaxer", relaxer].values,
        output=home(ctx, output, "relax"),
        latest=output is None,
        cell=cell,
        pressure=pressure,
        fmax=fmax,
        smax=smax,
        steps=steps,
        max_seconds=max_seconds_per_structure,
        fix_elements=fix_elements,
        fix_below=fix_below,
        fix_indices=fix_indices,
        symprec=symprec,
        batch_size=batch_size,
        cif=cif,
        keep_every=trajectory_every,
        device=device,
        dtype=dtype,
        threads=threads,
        jobs=jobs,
        scheduler=scheduler,
        overwrite=overwrite,
        config=rerunnable(ctx, "relax", structures=list(structures)),
    )
    raise typer.Exit(face.describe(plan) if dry_run else face.run(plan))
