"""The ``crystal`` program: the command tree, and errors as one line with an exit code."""

from __future__ import annotations

import sys

import typer

from crystalcli.commands import build_graphs, predict, train
from crystalcli.vocabulary.errors import CrystalError, Exit, one_line

app = typer.Typer(name="crystal", no_args_is_help=True, add_completion=False, help="Crystal graphs and networks.")
build_graphs.register(app)
train.register(app)
predict.register(app)


@app.callback()
def crystal() -> None:
    """Build crystal graphs, train networks on them, predict."""


def main() -> None:
    """Run the program and exit with its code."""
    try:
        code = app(prog_name="crystal", standalone_mode=False)
    except CrystalError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except typer.Abort:
        sys.exit(Exit.INTERRUPTED)
    except Exception as problem:
        if not hasattr(problem, "format_message"):
            raise
        print(f"error: {one_line(problem.format_message())}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    sys.exit(code or 0)
