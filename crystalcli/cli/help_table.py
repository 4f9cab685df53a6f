"""The help of a command as panels with columns.

Typer's own panels look the same, but loading what draws them (with Markdown, tracebacks and syntax colours, none of
which help needs) takes longer than everything else that ``--help`` does.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import combining, east_asian_width

from crystalcli.cli.narrow_help import panels, plain

BOLD, DIM, USAGE, FLAG, SHORT = "1", "2", "1;33", "1;36", "1;32"
NEGATIVE, NEGATIVE_SHORT, TYPE, REQUIRED = "1;35", "1;31", "1;33", "31"
"""Codes of the terminal's styles (ECMA-48 SGR)."""
LEAST = 20
"""Columns that text has at least, on a terminal however narrow."""

Cell = tuple[str, str]
"""Text and its style."""


def write(command: Any, ctx: Any, formatter: Any, width: int, summaries: Mapping[str, str] | None = None) -> None:
    """Write usage, text and a panel for every heading.

    Args:
        command: whose help it is.
        ctx: its context.
        formatter: takes the text; styles are left out where its reader is no terminal.
        width: of the terminal, in columns.
        summaries: of a group: name of a command → what it does.
    """
    if os.environ.get("FORCE_COLOR"):
        ctx.color = True
    usage, _, text = command.get_usage(ctx).partition(": ")
    lines = ["", f" {_styled(f'{usage}:', USAGE)} {_styled(text, BOLD)}", "", *_prose(plain(command.help or ""), width)]
    for title, params in panels(command, ctx).items():
        lines += _panel(title, [_row(p, ctx) for p in params], width)
    if summaries:
        lines += _panel("Commands", [[(name, FLAG), (text, "")] for name, text in summaries.items()], width)
    formatter.write("\n".join(lines) + "\n")


def _prose(text: str, width: int) -> list[str]:
    """The first paragraph as running text, the others as they are written."""
    first, *more = text.split("\n\n")
    lines = [f" {line}" for line in _wrapped(" ".join(first.split("\n")), width - 2)]
    for paragraph in more:
        lines += ["", *(f" {_styled(x, DIM)}" for line in paragraph.split("\n") for x in _wrapped(line, width - 2))]
    return [*lines, ""] if text else []


def _row(param: Any, ctx: Any) -> list[Cell]:
    """Columns of an option or argument: star, long and short name, the same of its negative, type, help."""
    if param.param_type_name == "argument":
        name = param.display_name_raw + ("..." if param.metavar is None and param.nargs != 1 else "")
        named = [(name, FLAG), ("", ""), ("", ""), ("", "")]
    else:
        named = [
            *((_names(param.opts, long), style) for long, style in ((True, FLAG), (False, SHORT))),
            *((_names(param.secondary_opts, x), style) for x, style in ((True, NEGATIVE), (False, NEGATIVE_SHORT))),
        ]
    limits = param._get_number_range_help_str() or ""
    kind = (param.display_type_rich(ctx=ctx) or "") + (f" [{limits}]" if limits else "")
    return [("*" if param.required else "", REQUIRED), *named, (kind, TYPE), (_help(param, ctx), "")]


def _names(spellings: Sequence[str], long: bool) -> str:
    return ",".join(s for s in spellings if s.startswith("--") == long)


def _help(param: Any, ctx: Any) -> str:
    """What it is, and the value it has if nothing is said."""
    words = [" ".join(plain(param.help or "").split())]
    default = param._extract_default_help_str(ctx=ctx)
    if default is not None and param.show_default:
        said = param._get_default_string(ctx=ctx, show_default_is_str=False, default_value=default)
        words += [f"[default: {said}]"] if said else []
    words += ["[required]"] if param.required else []
    return " ".join(filter(None, words))


def _panel(title: str, rows: Sequence[Sequence[Cell]], width: int) -> list[str]:
    """A frame with a title; columns that are empty in every row take no room, and the last one is wrapped."""
    used = [k for k in range(len(rows[0])) if k == len(rows[0]) - 1 or any(row[k][0] for row in rows)]
    wide = [max(_columns(row[k][0]) for row in rows) for k in used[:-1]]
    room = max(width - 4 - sum(wide) - 2 * len(wide), LEAST)
    inner = sum(wide) + 2 * len(wide) + room
    lines = [_styled(f"╭─ {title} ".ljust(inner + 3, "─") + "╮", DIM)]
    for row in rows:
        for k, text in enumerate(_wrapped(row[-1][0], room) or [""]):
            left = [_filled(row[c] if k == 0 else ("", ""), w) + "  " for c, w in zip(used, wide, strict=False)]
            edge = _styled("│", DIM)
            lines.append(f"{edge} {''.join(left)}{_with_default(text)}{' ' * (room - _columns(text))} {edge}")
    return [*lines, _styled("╰" + "─" * (inner + 2) + "╯", DIM)]


def _with_default(text: str) -> str:
    """A line of help with its default in a pale style."""
    start = text.find("[default: ")
    return text if start < 0 else text[:start] + _styled(text[start:], DIM)


def _wrapped(text: str, room: int) -> list[str]:
    """Lines of at most ``room`` columns; the default stays in one piece if it fits."""
    body, mark, default = text.partition(" [default: ")
    lines = textwrap.wrap(body, max(room, LEAST), break_on_hyphens=False)
    if not mark:
        return lines
    tail = mark[1:] + default
    if lines and _columns(lines[-1]) + 1 + _columns(tail) <= room:
        return [*lines[:-1], f"{lines[-1]} {tail}"]
    return lines + textwrap.wrap(tail, max(room, LEAST), break_on_hyphens=False)


def _filled(cell: Cell, width: int) -> str:
    return (_styled(*cell) if cell[0] else "") + " " * (width - _columns(cell[0]))


def _columns(text: str) -> int:
    """Columns of the terminal that a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _styled(text: str, style: str) -> str:
    if not style or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{style}m{text}\x1b[0m"
