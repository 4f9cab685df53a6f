"""Reference pages in Markdown for the documentation's site: of every command, and of the parts of every family.

They are made when the site is built, from what man pages and ``crystal plugins show`` are made of, and kept nowhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from crystalcli.cli.man_pages import EXITS, man_name
from crystalcli.cli.plugin_flags import models
from crystalcli.cli.tree import Page, TreeItem, pages
from crystalcli.contracts import options as opt
from crystalcli.contracts.families import FAMILIES
from crystalcli.contracts.records import Part
from crystalcli.engine.registry.plugin_manager import registry, use_only_builtins


def generated() -> dict[str, str]:
    """Every page: path in the site → Markdown. Built-in parts only, the same on every machine."""
    use_only_builtins()
    tree = [p for p in pages() if p.path]
    parts = [o.part for o in registry().offered()]
    return {
        "reference/commands.md": _overview(tree),
        **{f"reference/commands/{man_name(p)}.md": command_page(p) for p in tree},
        **{f"reference/parts/{f}.md": family_page(f, [p for p in parts if p.family == f]) for f in _families()},
    }


def _families() -> list[str]:
    """Families of parts; commands have pages of their own."""
    return [f for f in FAMILIES if f != "workflow"]


def _overview(tree: Sequence[Page]) -> str:
    lines = ["# Commands", "", "| command | what |", "|---|---|"]
    for page in tree:
        lines.append(f"| [`{' '.join(['crystal', *page.path])}`](commands/{man_name(page)}.md) | {_cell(page.title)} |")
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {_cell(meaning)} |" for code, meaning in EXITS.items()]
    return "\n".join(lines) + "\n"


def command_page(page: Page) -> str:
    """One command: what it does, its arguments and options, and the options of all parts that it can take."""
    words = " ".join(["crystal", *page.path])
    usage = [words, "[OPTIONS]", *(["COMMAND …"] if page.children else [])]
    for item in page.arguments:
        name = item.names[0].upper() + (" …" if item.many else "")
        usage.append(name if "required" in item.extra else f"[{name}]")
    lines = [f"# {words}", "", "```text", " ".join(usage), "```", "", *_paragraphs(page.help), ""]
    if page.children:
        lines += ["| command | what |", "|---|---|"]
        lines += [f"| [`{n}`]({man_name(page)}-{n}.md) | {_cell(t)} |" for n, t in page.children.items()]
        lines.append("")
    if page.arguments:
        lines += ["## Arguments", "", *_table(page.arguments)]
    for panel in dict.fromkeys(i.panel for i in page.options):
        lines += [f"## {panel}", "", *_table([i for i in page.options if i.panel == panel])]
    if page.part_options:
        lines += [
            "## Options of parts",
            "",
            "They are flags while the part is chosen; `--PART.OPTION` always works.",
            "",
        ]
    for panel in dict.fromkeys(i.panel for i in page.part_options):
        lines += [f"### {panel}", "", *_table([i for i in page.part_options if i.panel == panel])]
    return "\n".join(lines)


def _paragraphs(text: str) -> Iterator[str]:
    """The help as it is wrapped there; words between asterisks or brackets stay what they are."""
    for line in text.splitlines():
        yield _escaped(line.strip())


def _table(items: Sequence[TreeItem]) -> Iterator[str]:
    yield "| option | what | |"
    yield "|---|---|---|"
    for item in items:
        names = ", ".join(f"`{n}`" for n in sorted(item.names, key=lambda n: n.startswith("--")))
        choices = item.choices or ((item.value,) if item.value and item.names[0].startswith("-") else ())
        value = " " + " ".join(f"`{c}`" for c in choices) if choices else ""
        yield f"| {names}{value} | {_cell(item.help)} | {_cell(item.extra)} |"
    yield ""


def family_page(family: str, parts: Sequence[Part]) -> str:
    """All parts of a family: what each is, its options with units, defaults and bounds, its references."""
    record = FAMILIES[family]
    lines = [f"# Parts: {family}", "", f"Record: `{record.__module__}.{record.__name__}`.", ""]
    for part in sorted(parts, key=lambda p: p.name):
        lines += [f"## {part.name}", "", _escaped(part.summary[:1].upper() + part.summary[1:] + "."), ""]
        wanted = _wants(part)
        lines += [*wanted, ""] if wanted else []
        for title, model in zip(("", "When graphs become features:"), models(part), strict=False):
            rows = list(_options(model))
            if rows:
                lines += [*([title, ""] if title else []), "| option | what | default | bounds |", "|---|---|---|---|"]
                lines += [*rows, ""]
        lines += [f"Reference: {_escaped(r)}.  " for r in part.references]
        lines.append("")
    return "\n".join(lines)


def _wants(part: Part) -> list[str]:
    """What a part needs and gives, its partners, its recipe."""
    found = []
    for label in ("requires", "provides"):
        if words := getattr(part, label):
            found.append(f"{label} {', '.join(f'`{w}`' for w in sorted(words))}")
    for label in ("featurizer", "head", "level"):
        if isinstance(word := getattr(part, label, None), str):
            found.append(f"{label} `{word}`")
    if recipe := getattr(part, "recipe", None):
        settings = recipe if isinstance(recipe, dict) else dataclasses.asdict(recipe)
        found.append("recipe " + ", ".join(f"{k} {v}" for k, v in settings.items()))
    if suffixes := getattr(part, "suffixes", None):
        found.append("endings " + ", ".join(f"`{s}`" for s in suffixes))
    return ["; ".join(found)[:1].upper() + "; ".join(found)[1:] + "."] if found else []


def _options(model: type) -> Iterator[str]:
    for s in opt.specs(model):
        low, high = ("" if b is None else f"{b:g}" for b in (s.min, s.max))
        value = " " + " ".join(f"`{c}`" for c in s.choices) if s.choices else ""
        default = "" if s.default in (None, "") else f"`{s.default}`"
        what = _cell(s.help + (f" ({s.unit})" if s.unit else ""))
        yield f"| `--{s.flag}`{value} | {what} | {default} | {f'{low} … {high}' if low or high else ''} |"


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    """Text in which nothing is a mark of Markdown, HTML or the end of a table's cell."""
    for mark in "\\`*_[]<>|$":
        text = text.replace(mark, f"&#{ord(mark)};")
    return text
