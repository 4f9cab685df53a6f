"""How a command ends badly: one line on stderr, the right exit code, the traceback only with ``--debug``.

With ``--json`` stdout still gets its one object: ``{"error": …, "exit_code": …}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TextIO

import typer

from crystalcli.cli.console import plain_words
from crystalcli.cli.streams import Left
from crystalcli.vocabulary.errors import CrystalError, Exit, one_line, what_happened


def report(problem: BaseException, args: Sequence[str]) -> int:
    """Say what went wrong and return the exit code."""
    if isinstance(problem, SystemExit) and _own(problem):
        return _stopped(problem)
    if debugging(args):
        traceback.print_exception(problem)
    lines, code = _lines(problem)
    for line in lines:
        _print(f"error: {line}")
    if lines and _wanted("json", args):
        _print(json.dumps({"error": "; ".join(lines), "exit_code": int(code)}, sort_keys=True), sys.stdout)
    return code


def debugging(args: Sequence[str]) -> bool:
    """Tracebacks are wanted."""
    return _wanted("debug", args)


def _wanted(switch: str, args: Sequence[str]) -> bool:
    typed = args[: args.index("--")] if "--" in args else args
    return f"--{switch}" in typed or os.environ.get(f"CRYSTAL_{switch.upper()}", "") not in ("", "0", "false")


def _own(stop: SystemExit) -> bool:
    """Whether crystal or Typer ends the program; a plugin, or what it calls, has no right to."""
    trace, module = stop.__traceback__, ""
    while trace is not None:
        module, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_next
    return module.partition(".")[0] in ("", "crystalcli", "typer")


def _stopped(stop: SystemExit) -> int:
    """A reader that went away (``| head``) is no failure; Typer turns it into an exit of its own."""
    if isinstance(stop.__context__, Left):
        return Exit.OK
    if isinstance(stop.code, str):
        _print(f"error: {one_line(stop.code)}")
        return Exit.BUG
    return int(stop.code or 0)


def _lines(problem: BaseException) -> tuple[list[str], int]:
    """Lines to print and the exit code."""
    lines: list[str] = []
    code: int = Exit.OK
    if isinstance(problem, CrystalError):
        lines, code = [str(p) for p in getattr(problem, "problems", [problem])], problem.exit_code
    elif isinstance(problem, KeyboardInterrupt | typer.Abort):
        by = f" by {problem.args[0]}" if problem.args else ""
        lines, code = [f"interrupted{by}"], Exit.INTERRUPTED
    elif isinstance(problem, Left):
        pass
    elif isinstance(problem, typer.TyperException):
        if type(problem).__name__ == "NoArgsIsHelpError":  # a group without a command; its message is its help
            typer.echo(problem.format_message())
        else:
            lines = [_usage(problem)]
        code = Exit.USAGE
    elif isinstance(problem, MemoryError):
        lines, code = ["out of memory; use a smaller batch or fewer jobs"], Exit.ENVIRONMENT
    elif isinstance(problem, OSError):
        where = f"{problem.filename}: " if problem.filename else ""
        lines, code = [one_line(f"{where}{problem.strerror or problem}")], Exit.ENVIRONMENT
    else:
        said = one_line(f"bug{_plugin_of(problem)}: {what_happened(problem)}")
        lines, code = [said + " (run with --debug)"], Exit.BUG
    return lines, code


def _usage(problem: typer.TyperException) -> str:
    return one_line(plain_words(" ".join(problem.format_message().split())))


def _plugin_of(problem: BaseException) -> str:
    """`` in plugin X`` if it is the plugin's."""
    from crystalcli.engine.registry.at_fault import at_fault

    plugin = at_fault(problem)
    return "" if plugin is None else f" in plugin {plugin.name}"


def _print(line: str, stream: TextIO | None = None) -> None:
    with contextlib.suppress(OSError):
        print(line, file=stream or sys.stderr, flush=True)
