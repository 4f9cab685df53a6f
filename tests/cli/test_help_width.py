"""Flags can be copied from the help of a terminal of any width."""

from __future__ import annotations

import re
import unicodedata

import pytest

from crystalcli.cli import narrow_help
from crystalcli.cli.main import run
from crystalcli.cli.tree import pages

COMMANDS = {" ".join(p.path): p for p in pages() if not p.children}


@pytest.mark.parametrize("width", [60, 80, 99, 100, 140])
@pytest.mark.parametrize("command", ["train", "relax", "md", "screen", "graphs info", "predict"])
def test_no_flag_is_cut(command, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("CRYSTAL_NO_PLUGINS", "1")
    assert run([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert not re.search(r"--[\w-]*…", said)
    words = set(re.findall(r"--[a-z][\w-]*|(?<![\w-])-[a-zA-Z]\b", said))
    options = COMMANDS[command].options
    assert {name for option in options for name in option.names} <= words
    assert all(option.panel in said for option in options)
    assert "\\[" not in said
    if width < narrow_help.NARROW:
        assert max(map(len, said.splitlines())) <= width + 20  # a long word stays whole


def test_a_table_that_would_cut_a_long_flag_is_a_list(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["relax", "--help"]) == 0
    assert "│" in capsys.readouterr().out
    monkeypatch.setattr(narrow_help, "_needed", lambda *_: 101)
    assert run(["relax", "--help"]) == 0
    assert "│" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "graphs", "screen", "md"])
def test_panels_are_straight_and_colours_add_no_text(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    texts = set()
    for colours in (False, True):
        monkeypatch.setenv("FORCE_COLOR", "1" if colours else "")
        assert run([*command.split(), "--help"]) == 0
        said = capsys.readouterr().out
        assert ("\x1b[" in said) is colours
        text = re.sub(r"\x1b\[[\d;]*m", "", said)
        panels = [line for line in text.splitlines() if line[:1] in set("╭│╰")]
        assert {sum(not unicodedata.combining(c) for c in line) for line in panels} == {150}
        texts.add(text)
    assert len(texts) == 1
