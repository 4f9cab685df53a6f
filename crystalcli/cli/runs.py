"""The beginning of a run and its continuation, as commands with a run folder have them in common."""

from __future__ import annotations

from pathlib import Path

import typer

from crystalcli.vocabulary.errors import UsageError


def home(ctx: typer.Context, output: Path | None, word: str) -> str:
    """Folder of the run: ``output``, else a new one of its own, named after ``word``, which goes if it stays empty."""
    if output is not None:
        return str(output)
    from crystalcli.engine.run.run_folder import default_names, reserved_folder

    if ctx.params.get("dry_run"):
        return str(next(path for path in default_names(word) if not path.exists()))
    return str(ctx.with_resource(reserved_folder(word)))


def flag(option: str) -> str:
    """An option's name as typed."""
    return "--" + option.replace("_", "-")


def given(ctx: typer.Context, name: str) -> bool:
    """Whether an option is not left at its default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def refuse_beside(ctx: typer.Context, flag: str, free: frozenset[str]) -> None:
    """Refuse what does not go with ``flag``, which names a plan.

    Args:
        ctx: of the command.
        flag: as typed.
        free: parameters that go with it.

    Raises:
        UsageError: names the flags.
    """
    if flags := _typed(ctx, free):
        raise UsageError(f"{flags} does not go with {flag}; write it into the plan")


def refuse_changes(ctx: typer.Context, free: frozenset[str], *arguments: str) -> None:
    """Refuse what cannot change a run that is under way.

    Args:
        ctx: of the command.
        free: options that may go with ``--resume``; all others are those of the run's beginning.
        arguments: parameters that are no flags.

    Raises:
        UsageError: names the flags.
    """
    if flags := _typed(ctx, free, *arguments):
        raise UsageError(f"{flags} cannot change a run that is under way; start a new run, or leave it out")


def _typed(ctx: typer.Context, free: frozenset[str], *arguments: str) -> str:
    """Flags on the command line, those of parts too, that are not ``free``; as typed."""
    own = [n for n in ctx.params if n not in free and ctx.get_parameter_source(n).name == "COMMANDLINE"]  # type: ignore[union-attr]
    found = own + [n for part in ctx.obj.values() for n in part.typed]
    return ", ".join(n.upper() if n in arguments else flag(n) for n in found)
