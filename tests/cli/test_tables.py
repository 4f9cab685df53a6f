"""Tables with several CIF columns, and rows with names: whatever reads structures has a way to choose."""

import csv
import io
import json
from pathlib import Path

import ase.build
import ase.io
import pytest
from in_process import crystal

WAYS = {
    "predict": ["predict", "formation-energy", "t.csv", "--format", "jsonl"],
    "relax": ["relax", "t.csv", "--potential", "emt", "--steps", "1", "-o", "out", "--json"],
    "md": ["md", "t.csv", "--potential", "emt", "--steps", "2", "--no-analysis", "-o", "out", "--json"],
}


def cif(symbol: str, a: float) -> str:
    held = io.BytesIO()
    ase.io.write(held, ase.build.bulk(symbol, "fcc", a=a, cubic=True), format="cif")
    return held.getvalue().decode()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    with (tmp_path / "t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["cif_before", "cif_after", "name"])
        for symbol in ("Cu", "Au"):
            rows.writerow([cif(symbol, 3.7), cif(symbol, 4.1), f"my {symbol}"])
    return tmp_path


@pytest.mark.parametrize("command", WAYS)
def test_a_column_is_chosen(command: str, table: Path) -> None:
    refused = crystal(WAYS[command], table)
    assert refused.returncode == 2
    assert "several CIF columns: cif_before, cif_after; choose one with --cif-column" in refused.stderr + refused.stdout
    found = {}
    for column in ("cif_before", "cif_after"):
        done = crystal([*WAYS[command], "--cif-column", column, "--id-column", "name", "--overwrite"], table)
        assert done.returncode in (0, 3), done.stderr
        written = [p.read_text() for p in table.rglob("out/**/*") if p.suffix in (".csv", ".json")]
        assert "my Cu" in "".join([done.stdout, *written])
        found[column] = energies(command, table, done.stdout)
    assert found["cif_before"] != found["cif_after"]


def energies(command: str, folder: Path, said: str) -> list[float]:
    """Of the structures, whatever the command calls them."""
    if command == "predict":
        return [json.loads(line)["predictions"]["formation_energy_per_atom"] for line in said.splitlines()]
    if command == "md":
        frames = [ase.io.read(p) for p in sorted((folder / "out" / "structures").rglob("last.extxyz"))]
    else:
        frames = ase.io.read(folder / "out" / "relaxed.extxyz", ":")
    return [a.get_volume() for a in frames]
