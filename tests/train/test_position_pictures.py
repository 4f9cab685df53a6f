"""Pictures of predicted places: what is counted, which side is seen, what stands above the panels."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from crystalcli.engine.drawing import plots
from crystalcli.train import position_plots
from crystalcli.train.position_plots import Moved
from crystalcli.vocabulary.pictures import paths

SLAB = (True, True, False)


def moved(n: int = 6, pbc: tuple[bool, bool, bool] = SLAB, seed: int = 0) -> Moved:
    rng = np.random.default_rng(seed)
    cell = np.array([[4.0, 0.0, 0.0], [1.5, 4.5, 0.0], [0.0, 0.5, 12.0]])
    start = rng.random((n, 3)) @ cell
    true = start + rng.normal(0, 0.2, (n, 3))
    true[0] = np.nan
    held = np.arange(n) == 0
    numbers = rng.choice([1, 8, 29, 47], n)
    guess = start + np.where(held[:, None], 0.0, 0.1)
    return Moved(f"s{seed}", numbers, held, start, guess, true, cell, np.array(pbc), 0.31, 0.22)


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are when their bytes are written."""
    figures = []
    save = plots.save

    def kept(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save", kept)
    return figures


def words(path):
    return ["".join(t.itertext()) for t in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_every_distance_is_counted(drawn, tmp_path):
    rng = np.random.default_rng(1)
    groups = {"slab": (rng.exponential(0.1, 400), rng.exponential(0.05, 400)), "adsorbate": (np.ones(3), np.zeros(3))}
    position_plots.distances(paths(tmp_path / "d", "svg"), groups, title="t")
    for axes, (before, after) in zip(drawn[-1].axes, groups.values(), strict=True):
        assert [patch.get_data().values.sum() for patch in axes.patches] == [len(before), len(after)]
        assert axes.get_yscale() == "log"
    said = words(tmp_path / "d.svg")
    assert {"slab, n = 400", "adsorbate, n = 3", "start: mean 1 Å", "predicted: mean 0 Å"} <= set(said)


@pytest.mark.parametrize("n", [1, 3, 10])
@pytest.mark.parametrize("pbc", [SLAB, (True, True, True), (False, False, False)])
def test_structures_have_a_panel_each_and_titles_inside(drawn, tmp_path, n, pbc):
    some = [moved(6, pbc, seed) for seed in range(n)]
    some[0] = replace(some[0], id="$a_b$" + "x" * 60)
    position_plots.structures(paths(tmp_path / "w", "svg,png"), some, title="t")
    figure = drawn[-1]
    assert len(figure.axes) == n
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    said = words(tmp_path / "w.svg")
    assert any(word.startswith("$a_b$xxx") and word.endswith("…") for word in said)
    assert said.count("0.31 → 0.22 Å") == n
    assert "held" in said


def test_many_elements_are_not_listed(tmp_path):
    one = moved(40)
    position_plots.structures(paths(tmp_path / "w", "svg"), [replace(one, numbers=np.arange(20, 60))], title="t")
    assert "predicted, in the colour of the element" in words(tmp_path / "w.svg")


def test_a_surface_is_seen_from_the_side_where_the_error_shows():
    one = moved()
    for k in (0, 1):
        error = one.cell[k] / np.linalg.norm(one.cell[k])
        guess = np.where(np.isnan(one.true), one.predicted, one.true + 0.5 * error)
        for flipped in (one.cell, one.cell * [[1], [1], [-1]]):
            axis = position_plots.view(replace(one, predicted=guess, cell=flipped))
            np.testing.assert_allclose(axis @ axis.T, np.eye(3), atol=1e-12)
            np.testing.assert_allclose(axis[0], error, atol=1e-12)
            np.testing.assert_allclose(axis[1], [0, 0, np.sign(flipped[2, 2])], atol=1e-12)


def test_anything_else_shows_its_longest_axes():
    one = moved(8, (False, False, False))
    long = replace(one, start=one.start * [1.0, 0.01, 1.0])
    np.testing.assert_allclose(np.abs(position_plots.view(long)), np.eye(3)[[0, 2, 1]])
