"""The help of a command on a narrow terminal, where a table would cut the names of flags."""

from __future__ import annotations

import shutil
from typing import Any

NARROW = 100
"""Columns from which on the table is used."""
BORDERS = 14
"""Columns that the table's frame and the space between its columns take."""


def fits(command: Any, ctx: Any) -> bool:
    """Whether a table shows every flag whole and leaves the help as much room as the widest of its columns."""
    width = shutil.get_terminal_size().columns
    return width >= NARROW and all(_needed(panel, ctx) <= width for panel in panels(command, ctx).values())


def _needed(params: list[Any], ctx: Any) -> int:
    words = [(",".join(p.opts), ",".join(p.secondary_opts), p.display_type_rich(ctx=ctx) or "") for p in params]
    columns = [max(map(len, column)) for column in zip(*words, strict=True)]
    return sum(columns) + max(columns) + BORDERS


def write(command: Any, ctx: Any, formatter: Any) -> None:
    """Write usage, text, and a list for every panel; a name that is long has a line of its own."""
    command.format_usage(ctx, formatter)
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(plain(command.help or ""))
    for title, params in panels(command, ctx).items():
        with formatter.section(title):
            formatter.write_dl([tuple(map(plain, p.get_help_record(ctx))) for p in params])


def panels(command: Any, ctx: Any) -> dict[str, list[Any]]:
    """Visible parameters under their headings; arguments and plain options first, then headings as they come."""
    shown = [p for p in command.get_params(ctx) if not getattr(p, "hidden", False)]
    found: dict[str, list[Any]] = {}
    for param in shown:
        found.setdefault(_title(param), []).append(param)
    first = ("Arguments", "Options")
    return dict(sorted(found.items(), key=lambda item: first.index(item[0]) if item[0] in first else len(first)))


def _title(param: Any) -> str:
    default = "Arguments" if param.param_type_name == "argument" else "Options"
    return getattr(param, "rich_help_panel", None) or default


def plain(text: str) -> str:
    """Help without the marks that keep Rich from reading its brackets."""
    return text.replace("\\[", "[")
