"""The tutorials are true: their commands run in order, say what the page shows, and make its pictures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import alike, begin, blocks, commands, lines_missing, pictures, run

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(p for p in (DOCS / "tutorials").glob("*.md") if p.stem != "index")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_tutorial(page: Path, tmp_path: Path) -> None:
    run(page, begin(tmp_path))
    for kept, made in pictures(page):
        assert (tmp_path / made).is_file(), f"{kept.name} is not made by the page"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_tutorial_shows_a_picture_and_what_commands_say(page: Path) -> None:
    shown = [said for block in blocks(page) if block.language == "console" for _, said in commands(block)]
    assert sum(map(len, shown)) >= 5
    assert all(kept.is_file() for kept, _ in pictures(page))
    assert list(pictures(page))


def test_the_readme_shows_what_the_tutorial_says() -> None:
    rows = [line for line in (DOCS.parent / "README.md").read_text().splitlines() if line.startswith("│")]
    tutorial = (DOCS / "tutorials" / "properties.md").read_text().splitlines()
    assert len(rows) == 4
    assert not [row for row in rows if row not in tutorial]


def test_folds_of_matbench(tmp_path: Path) -> None:
    """The program of that page makes split files from lists as Matbench has them; rows are counted from 0."""
    (block,) = [b for b in blocks(DOCS / "coming-from" / "matbench.md") if b.title]
    (tmp_path / block.title).write_text(block.text)
    ids = [f"mb-phonons-{k:04d}" for k in range(1, 21)]
    folds = {f"fold_{k}": {"train": ids[:4] + ids[8:], "test": ids[4:8]} for k in (0, 1)}
    (tmp_path / "v.json").write_text(json.dumps({"splits": {"matbench_phonons": folds}}))
    command = [sys.executable, block.title, "v.json", "matbench_phonons"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    parts = json.loads((tmp_path / "fold-1.json").read_text())
    assert parts["test"] == [f"matbench_phonons:{k}" for k in range(4, 8)]
    assert {k: len(v) for k, v in parts.items()} == {"train": 14, "val": 2, "test": 4}
    assert len({i for part in parts.values() for i in part}) == 20


def test_what_is_alike() -> None:
    assert alike("│ model │ 4.522 │", "│ model    │ 4.61  │")
    assert not alike("│ model │ 4.522 │", "│ model │ 9.1 │")
    assert not alike("300 ok, 0 failed", "299 ok, 1 failed")
    assert not alike("MAE 4.5 GPa", "MAE 4.5 eV")
    assert alike("relaxed 3 structures in 73 s", "relaxed 3 structures in 7 s")
    assert lines_missing(["b 1.0", "a 2.0"], "a 2.0\nb 1.0\n") == "a 2.0"
    assert not lines_missing(["a 2.0", "b 1.0"], "a 2.0\nx\nb 1.0\n")
