"""The page of ``crystal report`` in a real browser: no errors, no requests, tooltips, zoom, structures that turn."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from engine import made_runs

from crystalcli.engine.report import page

pytestmark = pytest.mark.skipif(
    browser.program() is None, reason="no Chromium on this machine: apt-get install chromium to run these tests"
)
READY_SECONDS = 2.0
"""In which a page of 3,000 structures is there, by the browser's own clock."""


@pytest.fixture(scope="module")
def shown() -> Iterator[browser.Page]:
    with browser.page() as one:
        yield one


@pytest.fixture
def tab(shown: browser.Page) -> browser.Page:
    shown.events.clear()
    shown.media()
    shown.size(1280, 900)
    return shown


def written(tmp_path: Path, *runs: Path) -> Path:
    target = tmp_path / "page.html"
    page.write(runs, target)
    return target


def tooltip(tab: browser.Page) -> str:
    return str(tab.js("tip.box && tip.box.style.display !== 'none' ? tip.box.innerText : ''"))


def all_made(tab: browser.Page) -> None:
    tab.js("for (const place of [...makers.keys()]) make(place)")
    tab.wait("makers.size === 0")
    time.sleep(0.2)


def test_opens_at_once_without_a_word_and_without_a_request(tmp_path: Path, tab: browser.Page) -> None:
    path = written(tmp_path, made_runs.training(tmp_path / "run", 3000))
    tab.open(path)
    took = tab.js("performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart") / 1e3
    assert took < READY_SECONDS
    all_made(tab)
    assert (tab.complaints(), tab.requests()) == ([], [])
    assert tab.js("[...document.querySelectorAll('[data-plot]')].every(f => f.chart)")
    assert tab.js("[...document.querySelectorAll('.frame svg')].every(s => s.querySelector('path'))")
    assert tab.js("document.documentElement.scrollWidth <= innerWidth")


def test_every_kind_of_run(tmp_path: Path, tab: browser.Page) -> None:
    runs = [made_runs.training(tmp_path / name, n) for name, n in (("a", 40), ("b", 50))]
    runs += [made_runs.screening(tmp_path / "s"), made_runs.folder(tmp_path / "g", "gone", {"x": 1.5})]
    tab.open(written(tmp_path, *runs))
    all_made(tab)
    assert (tab.complaints(), tab.requests()) == ([], [])


@pytest.mark.parametrize("evil", made_runs.EVIL)
def test_nothing_of_a_stranger_runs(tmp_path: Path, tab: browser.Page, evil: str) -> None:
    tab.open(
        written(tmp_path, made_runs.training(tmp_path / "run", 60, [evil] * 3), made_runs.training(tmp_path / "b", 9))
    )
    all_made(tab)
    assert (tab.complaints(), tab.requests()) == ([], [])
    assert not tab.js("document.querySelector('img, iframe, object, main svg[onload], [onerror], [onmouseover]')")
    assert "Page.javascriptDialogOpening" not in [e.get("method") for e in tab.events]


def test_a_point_has_a_tooltip_and_its_structure(tmp_path: Path, tab: browser.Page) -> None:
    run = made_runs.training(tmp_path / "run", 30)
    tab.open(written(tmp_path, run))
    all_made(tab)
    chart = "[...document.querySelectorAll('[data-plot]')].find(f => f.innerText.startsWith('Predicted')).chart"
    tab.js(f"{chart}.root.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    time.sleep(0.3)
    x, y, name, value = (
        tab.js(f"""(c => {{ const s = c.series[0], k = 7, b = c.root.getBoundingClientRect(), f = b.width / c.width;
        return [b.left + f * c.px(s.x[k]), b.top + f * c.py(s.y[k]), s.ids[k], shown(s.y[k])]; }})({chart})""")
    )
    tab.mouse("mouseMoved", x, y)
    said = tooltip(tab)
    assert name in said
    assert value in said
    assert "σ" in said
    assert "click" in said
    tab.mouse("mousePressed", x, y, down=True, clicks=1)
    tab.mouse("mouseReleased", x, y, clicks=1)
    tab.wait("document.querySelector('dialog[open] canvas')?.dataset.drawn > 0")
    assert name in tab.js("document.querySelector('dialog').innerText")
    tab.js("document.querySelector('dialog').close()")
    tab.mouse("mouseMoved", 1, 1)
    assert tooltip(tab) == ""


def test_dragging_looks_closer_and_back(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 200)))
    all_made(tab)
    chart = "[...document.querySelectorAll('[data-plot]')].find(f => f.innerText.startsWith('Predicted')).chart"
    tab.js(f"{chart}.root.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    time.sleep(0.3)
    left, top = tab.js(f"(b => [b.left, b.top])({chart}.root.getBoundingClientRect())")
    wide = tab.js(f"{chart}.range.x[1] - {chart}.range.x[0]")
    expected = tab.js(f"""(c => {{
      const span = c.range.x[1] - c.range.x[0], across = c.width - c.margin.l - c.margin.r;
      return [150, 300].map(v => c.range.x[0] + (v - c.margin.l) / across * span);
    }})({chart})""")
    tab.drag((left + 150, top + 100), (left + 300, top + 250))
    assert tab.js(f"{chart}.range.x") == pytest.approx(expected, rel=1e-3)
    assert not tab.js(f"{chart}.back.hidden")
    tab.js(f"{chart}.back.click()")
    assert tab.js(f"{chart}.range.x[1] - {chart}.range.x[0]") == wide


def test_points_are_where_the_axes_say(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 40, epochs=20)))
    all_made(tab)
    for figure in ("Training loss", "Predicted"):
        chart = f"[...document.querySelectorAll('[data-plot]')].find(f => f.innerText.startsWith('{figure}')).chart"
        found = tab.js(f"""(c => [c.px(c.range.x[0]) - c.margin.l, c.px(c.range.x[1]) - c.width + c.margin.r,
          c.py(c.range.y[0]) - c.height + c.margin.b, c.py(c.range.y[1]) - c.margin.t])({chart})""")
        assert found == pytest.approx([0.0] * 4, abs=1e-6)
    middle = tab.js(f"""(c => {{ c.logs.y = true; c.draw(); const [a, b] = c.range.y;
      return c.py(Math.sqrt(a * b)) - (c.py(a) + c.py(b)) / 2; }})({chart.replace("Predicted", "Training loss")})""")
    assert middle == pytest.approx(0.0, abs=1e-6)


def test_the_legend_hides_and_log_axes_switch(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 20, epochs=20)))
    all_made(tab)
    figure = "document.querySelector('[data-plot]')"
    assert tab.js(f"{figure}.querySelectorAll('.frame path.line').length") == 2
    tab.js(f"{figure}.querySelector('.key').click()")
    assert tab.js(f"{figure}.querySelectorAll('.frame path.line').length") == 1
    before = tab.js(f"{figure}.querySelector('.frame path.line').getAttribute('d')")
    tab.js(f"[...{figure}.querySelectorAll('button')].find(b => b.textContent === 'log y').click()")
    assert tab.js(f"{figure}.querySelector('.frame path.line').getAttribute('d')") != before


def test_a_structure_turns(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 30)))
    all_made(tab)
    canvas = ".stage canvas"
    x, y = tab.middle(canvas)

    def pixels() -> str:
        return hashlib.sha256(tab.js(f"document.querySelector('{canvas}').toDataURL()").encode()).hexdigest()

    still = pixels()
    assert still == pixels()
    assert int(tab.js(f"document.querySelector('{canvas}').dataset.drawn")) >= 2
    tab.drag((x, y), (x + 80, y + 30))
    turned = pixels()
    assert turned != still
    tab.js(f"document.querySelector('{canvas}').focus()")
    tab.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
    assert pixels() != turned
    m = [float(v) for v in tab.js(f"document.querySelector('{canvas}').dataset.turned").split()]
    for i in range(3):  # rows of a rotation
        assert sum(m[3 * i + k] ** 2 for k in range(3)) == pytest.approx(1.0, abs=5e-3)
    names = tab.js("[...document.querySelectorAll('.pick')].map(b => b.textContent)")
    tab.js("document.querySelectorAll('.pick')[1].click()")
    assert names[1] in tab.js("document.querySelector('.side').innerText")


def test_an_atom_is_where_it_is(tmp_path: Path, tab: browser.Page) -> None:
    """Looked at along c: its height is towards us, nothing is stretched, and it is no mirror image."""
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 10)))
    all_made(tab)
    found = tab.js("""(() => {
      const cell = [4, 0, 0, 0, 3, 0, 0, 0, 5], places = new Int16Array([0, 0, 0, 100, 50, 100]);
      const pack = a => btoa(String.fromCharCode(...new Uint8Array(a.buffer)));
      const frame = {z: pack(new Uint8Array([11, 17])), r: pack(places), s: .02, c: cell, p: 'TTT'};
      const viewer = new Viewer(document.querySelector('main'), [{id: 'x', facts: [], frames: [frame]}], DATA.elements);
      viewer.along(2);
      const t = viewer.turned, d = [2, 1, 2];
      const at = [0, 1, 2].map(i => t[3 * i] * d[0] + t[3 * i + 1] * d[1] + t[3 * i + 2] * d[2]);
      const minor = (i, j) => t[3 + i] * t[6 + j] - t[3 + j] * t[6 + i];
      const volume = t[0] * minor(1, 2) - t[1] * minor(0, 2) + t[2] * minor(0, 1);
      return [viewer.atoms.length, Math.hypot(at[0], at[1]), at[2], volume];
    })()""")
    assert found == pytest.approx([9, 5**0.5, 2.0, 1.0], abs=1e-9)  # eight corners and the one inside


def test_tables_are_searched_and_sorted(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.screening(tmp_path / "run")))
    all_made(tab)
    column = "[...document.querySelectorAll('[data-table] tbody tr')].map(r => parseFloat(r.cells[5].textContent))"
    tab.js("[...document.querySelectorAll('[data-table] .sort')][5].click()")
    found = tab.js(column)
    assert found == sorted(found)
    assert len(found) == 25
    tab.js("[...document.querySelectorAll('[data-table] .sort')][5].click()")
    found = tab.js(column)
    assert found == sorted(found, reverse=True)
    tab.js("(s => { s.value = 'c7'; s.oninput(); })(document.querySelector('.search'))")
    assert tab.js("[...document.querySelectorAll('[data-table] tbody tr')].every(r => r.innerText.includes('c7'))")


def test_the_periodic_table_has_tooltips(tmp_path: Path, tab: browser.Page) -> None:
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 20)))
    all_made(tab)
    x, y = tab.middle(".periodic .marked")
    tab.mouse("mouseMoved", x, y)
    assert tooltip(tab).split("\n")[0] == "Cl"
    assert "0.3 eV/atom" in tooltip(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(tmp_path: Path, tab: browser.Page, scheme: str) -> None:
    """Contrast of text and of marks in plots, WCAG 2.1: 4.5 and 3."""
    tab.media(prefers_color_scheme=scheme)
    tab.open(written(tmp_path, made_runs.training(tmp_path / "run", 20)))
    contrast = """(names, base) => {
      const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const rgb = name => {
        pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255);
      };
      const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = name => rgb(name).map(linear).reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
      const below = light(base);
      return names.map(light).map(v => (Math.max(v, below) + .05) / (Math.min(v, below) + .05));
    }"""
    for base in ("--card", "--soft"):
        assert min(tab.js(f"({contrast})(['--ink', '--ink-2', '--accent'], '{base}')")) >= 4.5
    assert min(tab.js(f"({contrast})(['--warn'], '--warn-soft')")) >= 4.5
    assert min(tab.js(f"({contrast})(['--c0', '--c1', '--c2', '--c3', '--c5', '--c6'], '--card')")) >= 3.0


def test_narrow_screens_and_paper(tmp_path: Path, tab: browser.Page) -> None:
    path = written(tmp_path, made_runs.training(tmp_path / "run", 60, ["a-very-long-name-" * 12]))
    tab.size(390, 800)
    tab.open(path)
    all_made(tab)
    assert tab.js("document.documentElement.scrollWidth") <= 390
    tab.size(1280, 900)
    tab.open(path)
    printed = tab.send("Page.printToPDF", printBackground=True)["data"]
    assert len(printed) > 50_000
    assert tab.js("makers.size") == 0
    assert tab.complaints() == []
