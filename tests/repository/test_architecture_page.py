"""docs/architecture.md is true: its paths exist, its floors are those that the linter holds, in that order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_path_exists() -> None:
    words = re.findall(r"`((?:crystalcli|plugins|examples|tests|docs)/[^`]*)`", TEXT)
    assert len(words) > 25
    assert not [w for w in words if not (ROOT / w).exists()]


def test_floors_are_those_of_the_linter() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [c["layers"] for c in contracts if c["name"] == "imports go down only"]
    assert re.findall(r"^ crystalcli/(\w+) ", TEXT, re.MULTILINE) == [layer.rpartition(".")[2] for layer in layers] + [
        "testing"
    ]


def test_every_room_is_named() -> None:
    workflows = {p.name for p in (ROOT / "crystalcli" / "workflows").iterdir() if (p / "__init__.py").exists()}
    assert not [w for w in workflows if w not in TEXT]
