"""Workflows by other names: a value of one command's flag that means another command, flags and all."""

from __future__ import annotations

from collections.abc import Sequence

from crystalcli.contracts.workflow_record import OtherName, Workflow
from crystalcli.engine.registry.plugin_manager import registry


def handed_over(command: str, args: Sequence[str]) -> tuple[str, list[str]]:
    """The command that ``args`` of ``command`` are meant for, and they as it spells them.

    Args:
        command: as typed.
        args: that follow it.
    """
    typed = list(args[: args.index("--")] if "--" in args else args)
    for workflow, other in _others(command):
        flags = {other.flag, f"--{command}.{other.flag.removeprefix('--')}"}
        if (rest := _without(typed, flags, other.word)) is not None:
            return workflow, [*_respelled(rest, other), *args[len(typed) :]]
    return command, list(args)


def words(command: str, flag: str) -> list[str]:
    """Values of ``flag`` of ``command`` that mean another command."""
    return sorted(other.word for _, other in _others(command) if other.flag == flag)


def _others(command: str) -> list[tuple[str, OtherName]]:
    records = [o.part for o in registry().offered() if isinstance(o.part, Workflow)]
    return [(w.name, other) for w in records for other in w.also if other.command == command]


def _without(args: list[str], flags: set[str], word: str) -> list[str] | None:
    """``args`` without the flag where it says ``word``; none where it never does."""
    kept, k = list[str](), 0
    while k < len(args):
        name, equals, value = args[k].partition("=")
        if equals and name in flags and value == word:
            k += 1
        elif args[k] in flags and args[k + 1 : k + 2] == [word]:
            k += 2
        else:
            kept.append(args[k])
            k += 1
    return kept if len(kept) < len(args) else None


def _respelled(args: Sequence[str], other: OtherName) -> list[str]:
    out = list[str]()
    for arg in args:
        name, equals, value = arg.partition("=")
        if name not in other.flags:
            out.append(arg)
        elif own := other.flags[name]:
            out.append(own + equals + value)
        elif equals:
            out.append(value)
    return out
