"""The tutorials are true: their commands run in order, say what the page shows, and make its pictures."""

from __future__ import annotations

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


def test_what_is_alike() -> None:
    assert alike("│ model │ 4.522 │", "│ model    │ 4.61  │")
    assert not alike("│ model │ 4.522 │", "│ model │ 9.1 │")
    assert not alike("300 ok, 0 failed", "299 ok, 1 failed")
    assert not alike("MAE 4.5 GPa", "MAE 4.5 eV")
    assert alike("relaxed 3 structures in 73 s", "relaxed 3 structures in 7 s")
    assert lines_missing(["b 1.0", "a 2.0"], "a 2.0\nb 1.0\n") == "a 2.0"
    assert not lines_missing(["a 2.0", "b 1.0"], "a 2.0\nx\nb 1.0\n")
