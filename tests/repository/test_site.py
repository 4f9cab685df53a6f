"""The site builds without a warning, says what the command tree says, and asks nothing of any server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crystalcli.cli.markdown_pages import _escaped, generated
from crystalcli.cli.tree import pages
from crystalcli.engine.registry.plugin_manager import registry

ROOT = Path(__file__).parents[2]
LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?(?:src|data|srcset)=[\"']?(?:https?:)?//[^\"' >]+"
    r"|<link\b(?![^>]*rel=[\"']?(?:canonical|next|prev))[^>]*?href=[\"']?(?:https?:)?//[^\"' >]+",
)
"""What a browser fetches when it opens a page; links that somebody has to follow are none of it."""
STYLES = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\"')]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'crystal-graphs[docs]'")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    assert done.returncode == 0, "\n".join(said)
    return folder


def test_nothing_is_fetched(site: Path) -> None:
    found = list(site.rglob("*.html"))
    assert len(found) > 80
    for page in found:
        text = page.read_text(encoding="utf-8")
        assert not LOADS.findall(text), page
        assert not STYLES.findall(text), page
    for style in site.rglob("*.css"):
        assert not STYLES.findall(style.read_text(encoding="utf-8")), style


def test_what_would_be_fetched_is_noticed() -> None:
    for text in (
        '<script src="https://cdn.example/x">',
        "<link href=//fonts.example/css rel=stylesheet>",
        '<img alt="" src="http://a/b.png">',
    ):
        assert LOADS.findall(text)
    assert not LOADS.findall('<a href="https://doi.org/10">')
    assert STYLES.findall("@import url(https://fonts.example/a)")


def test_search_works_from_disk(site: Path) -> None:
    """The index is a script, since browsers read no JSON from disk; pages load it by relative names."""
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    documents = json.loads(index.removeprefix("var __index = "))["docs"]
    assert any(d["location"].startswith("reference/commands/crystal-train.html") for d in documents)
    assert "site/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


def opened(address: str, folder: Path, *more: str) -> str:
    """What a browser makes of a page, after its scripts have run."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-component-update", "--no-first-run", f"--user-data-dir={folder / 'profile'}", *more]
    command += ["--virtual-time-budget=6000", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_search_finds(site: Path, tmp_path: Path) -> None:
    text = opened((site / "index.html").as_uri() + "?q=hull", tmp_path)
    assert re.search(r"\d+ matching documents", text)
    assert "tutorials/screening.html" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("name", ["index.html", "tutorials/properties.html", "reference/python/contracts.html"])
def test_a_browser_asks_for_nothing(site: Path, tmp_path: Path, name: str) -> None:
    log = tmp_path / "net.json"
    assert "md-content" in opened((site / name).as_uri(), tmp_path, f"--log-net-log={log}")
    asked = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text(encoding="utf-8")))
    assert not {url for url in asked if not re.search(r"//([\w.-]+\.)?(google|googleapis|gvt1)\.com/", url)}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The generated pages; what they leave out is there again for other tests."""
    monkeypatch.setenv("CRYSTAL_NO_PLUGINS", "1")
    yield generated()
    registry.cache_clear()


def test_reference_has_every_option_and_part(made: dict[str, str]) -> None:
    for page in pages():
        if not page.path:
            continue
        text = made[f"reference/commands/{'-'.join(['crystal', *page.path])}.md"]
        for item in (*page.options, *page.part_options):
            assert all(f"`{name}`" in text for name in item.names)
    assert "## lcgcn\n" in made["reference/parts/architecture.md"]
    assert "--n-conv" in made["reference/parts/architecture.md"]


def test_texts_are_no_markup() -> None:
    assert _escaped("a|b <c> [d](e) *f* `g`") == ("a&#124;b &#60;c&#62; &#91;d&#93;(e) &#42;f&#42; &#96;g&#96;")
