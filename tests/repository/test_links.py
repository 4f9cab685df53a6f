"""Relative links of README and docs lead to files, anchors to headings; every picture is small and on a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import LARGEST

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`[^`\n]*`")


def prose(path: Path) -> str:
    """The page without its code, in which brackets are no links."""
    return CODE.sub("`", FENCE.sub("", path.read_text(encoding="utf-8")))


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as they are made of them: lower case, no punctuation, hyphens for blanks."""
    found: set[str] = set()
    for title in re.findall(r"^#+ +(.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).strip().replace(" ", "-")
        number = 0
        while slug + (f"-{number}" if number else "") in found:
            number += 1
        found.add(slug + (f"-{number}" if number else ""))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and (there.suffix != ".md" or anchor not in anchors(there))):
            broken.append(target)
        assert there.is_relative_to(ROOT), f"{target} leads out of the repository"
    assert not broken


def test_every_picture_is_shown_and_small() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in LINK.findall(prose(page))
        if "://" not in target
    }
    for picture in (ROOT / "docs" / "images").rglob("*.*"):
        assert picture in shown, f"{picture} is on no page"
        assert picture.stat().st_size <= LARGEST, f"{picture} is larger than {LARGEST} bytes"


def test_the_checks_can_fail(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Twice\n\n## It's `here`, σ\n\n# Twice\n\n```\n[no](link.md)\n```\n`[no](link.md)` [yes](there.md#x)\n"
    )
    assert anchors(page) == {"twice", "twice-1", "its-here-σ"}
    assert LINK.findall(prose(page)) == ["there.md#x"]
