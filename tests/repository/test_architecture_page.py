"""docs/architecture.md is true: its paths exist, its floors are those that the linter holds, in that order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PICTURE = TEXT.split("```")[1]


def test_every_path_exists() -> None:
    words = re.findall(r"`((?:crystalcli|plugins|examples|tests|docs)/[^`]*)`", TEXT)
    assert len(words) > 25
    assert not [w for w in words if not (ROOT / w).exists()]


def test_floors_are_those_of_the_linter() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [c["layers"] for c in contracts if c["name"] == "imports go down only"]
    floors = [re.findall(r"crystalcli/(\w+)(?![\w/.])", line) for line in PICTURE.splitlines()]
    held = [re.findall(r"crystalcli\.(\w+)", layer) for layer in layers]
    assert [sorted(f) for f in floors if f] == [*map(sorted, held), ["testing"]]


def test_every_room_is_named() -> None:
    rooms = {p.parent.name for p in (ROOT / "crystalcli").glob("*/__init__.py")}
    rooms |= {p.parent.name for p in (ROOT / "crystalcli" / "engine").glob("*/__init__.py")}
    assert len(rooms) > 20
    assert not [w for w in rooms if not re.search(rf"\b{w}\b", PICTURE)]
