"""A variable that nothing reads is said, once; those that something reads are silent."""

from __future__ import annotations

import pytest

from crystalcli.cli.main import run


def warnings(capsys):
    assert run(["plugins", "list", "--quiet"]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "nothing reads it" in line]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CRYSTAL_TRAIN_EPOCH", "CRYSTAL_TRAIN_EPOCHS"),
        ("CRYSTAL_PLUGIN", "CRYSTAL_PLUGINS"),
        ("CRYSTAL_LCGCN_N_CONVS", "CRYSTAL_LCGCN_N_CONV"),
        ("CRYSTAL_TIMELIMIT", "CRYSTAL_TIME_LIMIT"),
        ("CRYSTAL_SEEDD", "CRYSTAL_SEED"),
    ],
)
def test_a_typing_error_is_said_with_what_was_meant(name, meant, monkeypatch, capsys):
    monkeypatch.setenv(name, "9")
    (line,) = warnings(capsys)
    assert line.startswith(f"warning: {name} is set, but nothing reads it; did you mean ")
    assert f"'{meant}'" in line


def test_a_name_like_no_other_is_told_how_variables_are_called(monkeypatch, capsys):
    monkeypatch.setenv("CRYSTAL_QQXZJ", "1")
    monkeypatch.setenv("CRYSTAL_VVKWY", "1")
    first, second = warnings(capsys)
    assert first.endswith("CRYSTAL_QQXZJ is set, but nothing reads it; variables are called CRYSTAL_OPTION or "
                          "CRYSTAL_COMMAND_OPTION")  # fmt: skip
    assert "CRYSTAL_VVKWY" in second


@pytest.mark.parametrize(
    "name",
    [
        "CRYSTAL_DATA", "CRYSTAL_KILLS", "CRYSTAL_PLUGIN_TIMEOUT", "CRYSTAL_DEBUG", "CRYSTAL_EPOCHS",
        "CRYSTAL_TRAIN_LR", "CRYSTAL_N_CONV", "CRYSTAL_LCGCN_N_CONV", "CRYSTAL_TRAIN_LCGCN_N_CONV",
        "CRYSTAL_ARCHITECTURE_LCGCN_N_CONV", "CRYSTAL_MAX_SECONDS_PER_STRUCTURE",
        "CRYSTAL_CACHE_DIR",
    ],
)  # fmt: skip
def test_what_something_reads_is_silent(name, monkeypatch, capsys):
    monkeypatch.setenv(name, "1" if name != "CRYSTAL_DEBUG" else "0")
    assert warnings(capsys) == []
