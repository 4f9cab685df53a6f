"""Command lines of the documentation are such that crystal understands them: commands, flags, values, parts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from doc_pages import FENCE

from crystalcli.cli.main import app
from crystalcli.vocabulary.errors import CrystalError

ROOT = Path(__file__).parents[2]
OWN = [p for p in sorted((ROOT / "examples").glob("*/README.md")) if not p.parent.name.startswith("third-party")]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *OWN]
NOT_HERE = re.compile(r"no potential '|no such model|no such configuration file|not installed|no architecture 'species")
"""What is wrong with a line only because a run of before, a package or the page's own plugin is not here."""
CELL = re.compile(r"(?<!`)`(crystal [^`]+)`")
"""Command lines in tables: those of pages for people who come from elsewhere."""


def typed(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for _, language, _, body in FENCE.findall(text):
        if language in ("", "sh", "console"):
            for line in body.replace("\\\n", " ").splitlines():
                if (command := re.sub(r"^\$ ", "", line.strip())).startswith("crystal "):
                    yield command
    if page.parent.name == "coming-from":
        yield from CELL.findall(FENCE.sub("", text).replace("\\|", "|"))


def understood(line: str) -> None:
    """Raise what is wrong with a line; nothing is run."""
    alone = re.split(r"\s(?:\|\|?|&&|\d?>)\s", re.sub(r" \[[^\]]*\]", "", line))[0]  # [OPTION] may be left out
    words = shlex.split(alone, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = command.make_context("crystal", [], resilient_parsing=True)
    name = "crystal"
    while words and words[0] in getattr(command, "commands", {}):
        name = words.pop(0)
        command = command.commands[name]
    if words and words[0].startswith("--") and command is context.command:  # flags of the program itself
        command.make_context(name, words, resilient_parsing=True)
        return
    assert not hasattr(command, "commands"), "no such command"
    if "--help" not in words:
        command.make_context(name, words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_lines_are_understood(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for line in typed(page):
        try:
            understood(line)
        except Exception as error:
            said = str(error) if isinstance(error, CrystalError) else str(getattr(error, "message", error))
            placeholder = re.search(r"(?<![\w$'-])[A-Z]{2,}(?![\w'./])", line) and "unable to parse" in said
            if not NOT_HERE.search(said) and not placeholder:
                wrong.append(f"{line}: {said}")
    assert not wrong


def test_a_wrong_line_is_noticed() -> None:
    with pytest.raises(Exception, match="epoch"):
        understood("crystal train --epoch 3")
    with pytest.raises(CrystalError, match="lcgn"):
        understood("crystal train --arch lcgn")
