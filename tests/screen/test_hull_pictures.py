"""What a person sees in the pictures of a screening: every candidate, colours that tell them apart, labels apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from crystalcli.screen import plots
from crystalcli.screen.hull import Phase
from crystalcli.screen.options import BEYOND
from crystalcli.screen.rule import Candidate, Decision

ELEMENTS = ("H", "Nb", "Sr")


@pytest.fixture
def drawn(monkeypatch):
    """Figures instead of files."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, _: figures.append(figure))
    return figures


def candidate(amounts, above, *, kept):
    one = Candidate("-".join(map(str, amounts)), dict(zip(ELEMENTS, amounts, strict=True)), -0.3 + above, 0.02, 0.02)
    return one, Decision(above, (), kept, "", None, above == 0.0)


def hull(drawn, tmp_path, judged):
    plots.draw_hull([tmp_path / "h.png"], ELEMENTS, judged, [Phase({"H": 2, "Sr": 1}, -0.4, "SrH2")])
    return drawn[-1].axes[0]


def test_a_removed_polymorph_lies_on_top_of_the_kept_one_of_its_formula(drawn, tmp_path):
    judged = [candidate((6, 1, 1), 0.0, kept=True), candidate((6, 1, 1), 0.2, kept=False)]
    axes = hull(drawn, tmp_path, judged)
    removed = next(line for line in axes.lines if line.get_label() == f"1 {BEYOND}")
    assert removed.get_zorder() > axes.collections[0].get_zorder()
    np.testing.assert_allclose(removed.get_xydata(), axes.collections[0].get_offsets())


@pytest.mark.parametrize("elements", [ELEMENTS, ("H", "Sr")])
def test_a_legend_says_why_candidates_are_kept_or_removed(drawn, tmp_path, elements):
    judged = [candidate((k, 0, 1), 0.1 * k, kept=k < 3) for k in range(1, 7)]
    plots.draw_hull([tmp_path / "h.png"], elements, judged, [])
    (figure,) = drawn
    said = {t.get_text() for a in (figure, *figure.axes) for lg in _legends(a) for t in lg.get_texts()}
    assert {"2 kept (E_hull ≤ threshold)", "4 removed (E_hull > threshold)"} <= said


def _legends(place):
    return place.legends if hasattr(place, "legends") else [lg for lg in [place.get_legend()] if lg]


def test_bars_are_said_where_there_are_some(drawn, tmp_path):
    for sigma in (0.02, 0.0):
        one = Candidate("a", {"H": 1, "Sr": 1}, -0.3, sigma, sigma), Decision(0.0, (), True, "")
        plots.draw_hull([tmp_path / "h.png"], ("H", "Sr"), [one], [])
    assert [f.axes[0].get_title().endswith("bars are σ") for f in drawn] == [True, False]


@pytest.mark.parametrize(
    ("heights", "top"),
    [([0.0, 20.0, 60.0, 149.0], 149.0), ([0.0, 5.0, 40.0, 80.0, 100.0, 150.0, 490.0], 150.0), ([0.0, 0.0], 1.0)],
)
def test_one_candidate_far_above_does_not_take_the_colours_of_the_others(heights, top):
    assert plots.colour_limit(np.array(heights)) == top


def test_what_lies_beyond_the_colours_is_said_by_the_end_of_their_bar(drawn, tmp_path):
    judged = [candidate((6, k, 1), 0.01 * k, kept=True) for k in range(1, 9)]
    hull(drawn, tmp_path, judged)
    hull(drawn, tmp_path, [*judged, candidate((6, 9, 1), 0.49, kept=True)])
    bars = [figure.axes[0].collections[0].colorbar for figure in drawn]
    assert [bar.extend for bar in bars] == ["neither", "max"]
    assert bars[1].vmax == pytest.approx(80.0)


@pytest.mark.parametrize(
    ("amounts", "zoomed"),
    [([(6, 1, 1), (7, 1, 1), (8, 1, 2)], True), ([(6, 1, 1), (1, 6, 1), (1, 1, 6)], False), ([(2, 0, 1)], False)],
)
def test_a_corner_that_holds_all_candidates_fills_the_picture(drawn, tmp_path, amounts, zoomed):
    axes = hull(drawn, tmp_path, [candidate(a, 0.0, kept=True) for a in amounts])
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    assert (right - left < 0.72) == zoomed
    for x, y in axes.collections[0].get_offsets():
        assert left < x < right
        assert low < y < high
    named = [text.get_text() for place in (axes, *axes.child_axes) for text in place.texts]
    assert named == list(ELEMENTS)  # also where the corners lie outside


@pytest.mark.parametrize(
    ("share", "recall"),
    [
        ((0.10, 0.30, 0.56, 0.75, 0.84, 0.95, 0.97, 0.98), (0.4, 0.8, 0.95, 0.98, 1.0, 1.0, 1.0, 1.0)),
        ((0.50, 0.52, 0.54, 0.56, 0.58, 0.60, 0.62, 0.64), (1.0,) * 8),
        ((0.30, 0.90, 0.90, 0.90, 0.90, 0.90, 0.91, 0.92), (0.5, 0.9, 0.9, 0.91, 0.92, 0.93, 0.94, 1.0)),
    ],
)
def test_no_label_of_kappa_lies_on_another(drawn, tmp_path, share, recall):
    kappas = (0, 0.5, 1, 1.5, 2, 3, 4, 5)
    rows = [{"kappa": k, "share": s, "recall": r} for k, s, r in zip(kappas, share, recall, strict=True)]
    plots.draw_cost_and_recall([tmp_path / "c.png"], rows, stages="elements")
    figure = drawn[-1]
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    assert ", ".join(t.get_text() for t in texts) == ", ".join(f"{k:g}" for k in kappas)
    for one, other in combinations([t.get_window_extent() for t in texts], 2):
        assert not one.overlaps(other)
