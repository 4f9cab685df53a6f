"""The ``crystal`` program: the command tree, and errors as one line with an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import typer

from crystalcli.cli.console import warn_in_one_line
from crystalcli.cli.failures import report
from crystalcli.cli.group import Program
from crystalcli.cli.streams import open_streams, watched
from crystalcli.engine.registry.plugin_manager import use_only_builtins
from crystalcli.engine.run.import_path import import_matplotlib_elsewhere
from crystalcli.engine.run.stopping import interrupt_on_signals, interrupted
from crystalcli.vocabulary.errors import Exit, UsageError
from crystalcli.vocabulary.texts import inert

COMMANDS = (
    "build-graphs",
    "train",
    "predict",
    "calibrate",
    "label-sites",
    "relax",
    "md",
    "screen",
    "benchmark",
    "report",
    "potential",
    "status",
    "runs",
    "graphs",
    "models",
    "plugins",
    "doctor",
)
"""In the order of the help."""
WORKFLOWS = {
    "build-graphs": "crystalcli.graphs.workflow:BUILD_GRAPHS",
    "train": "crystalcli.train.workflow:TRAIN",
    "predict": "crystalcli.prediction.workflow:PREDICT",
    "calibrate": "crystalcli.calibrate.workflow:CALIBRATE",
    "label-sites": "crystalcli.label_sites.workflow:LABEL_SITES",
    "relax": "crystalcli.relax.workflow:RELAX",
    "md": "crystalcli.md.workflow:MD",
    "screen": "crystalcli.screen.workflow:SCREEN",
    "benchmark": "crystalcli.benchmark.workflow:BENCHMARK",
    "report": "crystalcli.report.workflow:REPORT_PAGE",
}
"""Those that are made of a workflow's record → where it is."""


ELSEWHERE = {"runs": "crystalcli.cli.run_list"}
"""Commands whose module is called otherwise."""


class _Crystal(Program):
    modules: ClassVar = {name: f"crystalcli.cli.{name}" for name in COMMANDS} | ELSEWHERE | WORKFLOWS


app = typer.Typer(
    name="crystal",
    cls=_Crystal,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(verbose: bool) -> None:
    from importlib.metadata import version

    typer.echo(f"crystal {version('crystal-graphs')}")
    if not verbose:
        return
    from crystalcli.engine.run.examining import facts

    for name, said in facts().items():
        if isinstance(said, dict):
            shown = ", ".join(f"{k} {v}" for k, v in said.items())
        else:
            shown = ", ".join(said) if isinstance(said, list) else str(said)
        if name != "crystal":
            typer.echo(inert(f"{name}: {shown or 'none'}"))


@app.callback()
def crystal(  # the root's --version and --debug are read elsewhere
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="show the version")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="with --version: also of packages, plugins and machine, for a bug report")
    ] = False,
    no_plugins: Annotated[bool, typer.Option("--no-plugins", help="only the parts that come with crystal")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False,  # noqa: ARG001
) -> None:
    """Build crystal graphs, train networks on them, predict.

    Settings: flags, then CRYSTAL_* variables, then -c FILE, then ./crystal.toml.
    """
    if no_plugins:
        use_only_builtins()
    if version:
        _say_version(verbose)
        raise typer.Exit
    if verbose:
        raise UsageError("--verbose goes with --version")
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if "_CRYSTAL_COMPLETE" in os.environ:
        from typer import completion

        completion.completion_init()  # type: ignore[attr-defined] # Typer calls it only with its own --install flags
    with watched() as streams:
        try:
            code: Any = app(list(args), prog_name="crystal", standalone_mode=False)
            if code == Exit.INTERRUPTED:  # Typer makes this of an interruption, without a word
                code = report(interrupted(), args)
        except BaseException as problem:  # the last door: whatever comes out is one line
            code = report(problem, args)
        finally:
            _floats_as_before()
        return streams.end(int(code or 0))


def _floats_as_before() -> None:
    """Denormals are flushed for the length of a command only: whoever calls it from another program keeps theirs."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_flush_denormal(False)


def main() -> None:
    """Run the program and exit with its code."""
    import_matplotlib_elsewhere()
    open_streams()
    warn_in_one_line()
    interrupt_on_signals()
    sys.exit(run(sys.argv[1:]))
