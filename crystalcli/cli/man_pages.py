"""Man pages of the command tree, in roff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crystalcli.cli.tree import Page, TreeItem

EXITS = {
    0: "all done",
    1: "a bug of crystal; run with --debug and report it",
    2: "usage, configuration or label problem; nothing was done",
    3: "finished, but some items failed",
    4: "nothing usable",
    5: "environment: disk, memory, device, lock, permission",
    6: "refused as unsafe",
    7: "numerical failure; the last good state was kept",
    75: "stopped by a signal or time limit; can be resumed",
    130: "interrupted before anything was kept",
}


def man_name(page: Page) -> str:
    """``crystal-graphs-merge``."""
    return "-".join(["crystal", *page.path])


def man_page(page: Page, everything: Sequence[Page], version: str) -> str:
    """The page as roff."""
    lines = [
        '.\\" Generated from the command tree by "python -m crystalcli.cli.pages"; do not edit.',
        f'.TH "{_text(man_name(page).upper())}" "1" "" "crystal {version}" "crystal"',
        ".ad l",  # a long choice leaves no words to stretch
        ".SH NAME",
        f"{_text(man_name(page))} \\- {_text(page.title[:1].lower() + page.title[1:])}",
        ".SH SYNOPSIS",
        *_synopsis(page),
        ".SH DESCRIPTION",
        *_paragraphs(page.help),
        *_children(page),
        *_items("ARGUMENTS", page.arguments),
    ]
    for panel in dict.fromkeys(i.panel for i in page.options):
        lines += _items(panel.upper(), page.options, panel)
    for panel in dict.fromkeys(i.panel for i in page.part_options):
        lines += _items(f"OPTIONS OF {panel.upper()}", page.part_options, panel)
    if page.part_options:
        lines += [
            ".SH PARTS",
            "Options of a part are flags when the part is chosen. They can also be written with the name of the part,",
            f"{_bold('--lcgcn.n-conv 4')}; where two parts declare the same flag only this spelling is accepted.",
            "Parts of other plugins have options of their own:",
            f"{_bold('crystal plugins show')} {_italic('NAME')}.",
        ]
    return "\n".join([*lines, *_common(page), *_see_also(page, everything)]) + "\n"


def _synopsis(page: Page) -> list[str]:
    words = [_bold(" ".join(["crystal", *page.path])), "[" + _italic("OPTIONS") + "]"]
    if page.children:
        words += [_italic("COMMAND"), "[" + _italic("ARGUMENTS") + "]\\&..."]
    for item in page.arguments:
        name = _italic(item.names[0].upper()) + ("\\&..." if item.many else "")
        words.append(name if "required" in item.extra else f"[{name}]")
    return [" ".join(words)]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        for line in paragraph.splitlines():
            yield _text(line.strip())


def _children(page: Page) -> Iterator[str]:
    if page.children:
        yield ".SH COMMANDS"
        for name, title in page.children.items():
            yield ".TP"
            yield _bold("-".join(["crystal", *page.path, name])) + "(1)"
            yield _text(title)


def _items(heading: str, items: Sequence[TreeItem], panel: str | None = None) -> Iterator[str]:
    chosen = [i for i in items if panel in (None, i.panel)]
    if not chosen:
        return
    yield f".SH {_text(heading)}"
    for item in chosen:
        yield ".TP"
        names = ", ".join(_bold(n) for n in sorted(item.names, key=lambda n: n.startswith("--")))
        if panel is None:
            names = _italic(item.names[0].upper())
        yield names + (f" {_italic(item.value)}" if item.value and panel is not None else "")
        yield _text(item.help + (f" [{item.extra}]" if item.extra else "")) or "\\&"


def _common(page: Page) -> Iterator[str]:
    if not page.children:
        upper = "_".join(page.path[-1:]).upper().replace("-", "_")
        yield ".SH CONFIGURATION"
        yield f"A file given with {_bold('-c')} and {_italic('crystal.toml')} of the working folder have a table"
        yield f"{_bold('[' + '.'.join(page.path) + ']')} with the names of the options and, in it, one table per part."
        yield "Flags count more than the environment, the environment more than files,"
        yield f"a file given with {_bold('-c')} more than {_italic('crystal.toml')}."
        yield ".SH ENVIRONMENT"
        yield ".TP"
        yield f"{_bold(f'CRYSTAL_{upper}_')}{_italic('OPTION')}, {_bold('CRYSTAL_')}{_italic('OPTION')}"
        yield f"the value of an option of this command, or of all commands, such as {_bold('CRYSTAL_DEBUG=1')}"
        yield ".TP"
        yield _bold("CRYSTAL_PLUGINS")
        yield "more plugins: modules, .py files, folders of such, separated by commas or colons"
    yield ".SH EXIT STATUS"
    for code, meaning in EXITS.items():
        yield ".TP"
        yield _bold(str(code))
        yield _text(meaning)


def _see_also(page: Page, everything: Sequence[Page]) -> Iterator[str]:
    near = [p for p in everything if p.path and (p.path[:-1] == page.path or p.path[:-1] == page.path[:-1])]
    near += [p for p in everything if p.path == page.path[:-1]]
    names = sorted({man_name(p) for p in near if p.path != page.path})
    if names:
        yield ".SH SEE ALSO"
        yield ", ".join(f"{_bold(n)}(1)" for n in names)


def _text(text: str) -> str:
    """Roff text: nothing in it is a request or an escape."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def _bold(text: str) -> str:
    return f"\\fB{_text(text)}\\fR"


def _italic(text: str) -> str:
    safe = _text(text).replace("|", "|\\:")  # a long choice may break there
    return f"\\fI{safe}\\fR"
