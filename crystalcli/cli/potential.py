"""``crystal potential check``: whether a potential is one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from crystalcli.cli.command import plugin_command
from crystalcli.cli.console import Face
from crystalcli.cli.group import group
from crystalcli.cli.plugin_flags import chosen, names, words
from crystalcli.cli.shared import Json, Overwrite, Quiet
from crystalcli.contracts.run_options import CALCULATOR, RUN, STRUCTURES
from crystalcli.contracts.workflow_record import POTENTIAL, Choice, PartFlags, Word
from crystalcli.potential_checks.findings import CHECKS, CheckRequest, between_commas, wanted_checks
from crystalcli.vocabulary.errors import UsageError

Potential = Annotated[
    str,
    typer.Argument(help="model file, run folder, or name of a calculator", autocompletion=names("calculator")),
]


def _chooser(word: Word) -> Choice:
    part = chosen(POTENTIAL, word("potential", None) or "")
    return Choice([] if part is None else [PartFlags(part, part.options)])


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    cls = plugin_command(_chooser)
    group(app, "potential", "Whether a potential does what any must do.", {"check": check}, cls)


def check(
    ctx: typer.Context,
    potential: Potential,
    structures: Annotated[
        list[str] | None,
        typer.Argument(help=f"{STRUCTURES}; default: crystals of its elements", show_default=False),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            "--only",
            help=f"these checks: {', '.join(CHECKS)}",
            autocompletion=words(tuple(CHECKS), between_commas=True),
        ),
    ] = "",
    skip: Annotated[
        str,
        typer.Option("--skip", help="all but these checks", autocompletion=words(tuple(CHECKS), between_commas=True)),
    ] = "",
    elements: Annotated[
        str, typer.Option("--elements", help="of the pairs, and of crystals where none are given: Si,O; or all")
    ] = "",
    temperature: Annotated[
        float, typer.Option("--temperature", help="of the dynamics (K)", min=1.0)
    ] = CheckRequest.kelvin,
    steps: Annotated[int, typer.Option("--steps", help="of the dynamics", min=50)] = CheckRequest.steps,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="picture of the curves of pairs: .png, .svg or .pdf")
    ] = None,
    dtype: Annotated[
        Literal["float64", "float32"], typer.Option("--dtype", help="precision in which a model works")
    ] = "float64",
    seed: Annotated[
        int, typer.Option("--seed", help="of everything random", min=0, rich_help_panel=RUN)
    ] = CheckRequest.seed,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps", rich_help_panel=RUN)] = "auto",
    threads: Annotated[
        int, typer.Option("--threads", help="CPU threads; 0 leaves them as they are", min=0, rich_help_panel=RUN)
    ] = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check any potential: symmetry, derivatives, smoothness, the cores of pairs, conservation, speed.

    Structures are shaken by 0.05 Å first, so that no symmetry hides a fault. What the potential cannot do, such as
    stress, is "not run", never passed. The exit code is 0 where every check was run and passed, 3 where one failed or
    could not be run; --skip leaves out what is known.
    """
    from crystalcli.cli.invocation import say_shadowed
    from crystalcli.engine.read.inputs import meant
    from crystalcli.engine.run.files import refuse_to_overwrite
    from crystalcli.potential_checks import run, view
    from crystalcli.vocabulary.pictures import FORMATS

    face = Face(json, quiet)
    say_shadowed(face, [(CALCULATOR, potential)])
    asked = CheckRequest(
        checks=wanted_checks(only, skip), elements=between_commas(elements), kelvin=temperature, steps=steps, seed=seed
    )
    if output is not None:
        if output.suffix.removeprefix(".").lower() not in FORMATS:
            raise UsageError(f"no format '{output.suffix}'; a picture ends with .{', .'.join(FORMATS)}", path=output)
        refuse_to_overwrite(output, overwrite)
    part = chosen(POTENTIAL, potential)
    given = ctx.obj[part.family, part.name].values if part is not None else {}
    made = run.prepared(potential, given, device=device, dtype=dtype, threads=threads)
    files = meant(structures or ())
    found, unread = run.read(files, face.warn)
    with face.progress("check", None) as advance:
        report = run.check(made, found, asked, example=_example(part), heard=lambda now: advance(1, now))
    report.findings[:0] = unread
    _show(face, view.shown(potential, report))
    drawn = 0 if output is None else run.draw(report, output, potential)
    if output is not None:
        of = f"{drawn} of {len(report.curves)}" if drawn < len(report.curves) else str(drawn)
        face.say(f"picture of {of} pairs -> {output}" if drawn else f"no pair has a curve: {output} is not drawn")
    told = {
        "potential": potential,
        "options": dict(given),
        "made_of": dict(getattr(made, "made_of", {})),
        "inputs": run.digests(potential, files),
        "dtype": dtype,
        "picture": str(output) if drawn else None,
        **asked.to_json(),
        **report.to_json(),
    }
    face.result(told)
    raise typer.Exit(told["exit_code"])


def _example(part: Any) -> Any:
    return part.example() if part is not None and part.example is not None else None


def _show(face: Face, shown: Any) -> None:
    from crystalcli.cli.invocation import rich_table

    console = face.console()
    for table in shown.tables:
        console.print(rich_table(table))
    for line in shown.lines:
        face.say(line)
