"""What a person sees in the pictures of site values, and titles that stay inside any picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from crystalcli.engine.drawing import plots, site_plots
from crystalcli.train import ensemble
from crystalcli.vocabulary.quantities import Quantity

CHARGE = Quantity("charge", "e", "site")


@pytest.fixture
def drawn(monkeypatch):
    """Figures as they are when their bytes are written."""
    figures = []
    save = plots.save

    def kept(figure, path):
        figures.append(figure)
        save(figure, path)

    for module in (plots, ensemble):
        monkeypatch.setattr(module, "save", kept)
    return figures


def distribution(drawn, tmp_path, counts):
    numbers = np.concatenate([np.full(n, z, dtype=np.int64) for z, n in counts.items()])
    true = np.random.default_rng(1).normal(size=len(numbers))
    site_plots.distributions([tmp_path / "d.png"], CHARGE, numbers, true, true + 0.1, title="test")
    return drawn[-1].axes[0], numbers, true


@pytest.mark.parametrize("few", [6, 16, 29])
def test_few_values_are_points_and_many_are_a_body(drawn, tmp_path, few):
    axes, numbers, true = distribution(drawn, tmp_path, {1: few, 8: 200})
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [few, few]
    np.testing.assert_allclose(dots[0].get_ydata(), np.sort(true[numbers == 1]))
    assert dots[0].get_xdata().max() < 0.0 < dots[1].get_xdata().min()
    bodies = [c for c in axes.collections if len(c.get_paths()) and len(c.get_paths()[0].vertices) > 8]
    assert len(bodies) == 2


@pytest.mark.parametrize(("count", "said"), [(7, "7"), (1012, "1,012"), (15300, "15,300")])
def test_numbers_of_labels_are_said_to_the_last_digit(drawn, tmp_path, count, said):
    axes, _, _ = distribution(drawn, tmp_path, {26: count})
    assert [t.get_text() for t in axes.get_xticklabels()] == [f"Fe\n{said}"]


def draw_parity(path, title, n):
    true = np.linspace(0.0, 1.0, n)
    plots.parity([path], CHARGE, true, true, mae=0.1, title=title, baseline=0.3)


def draw_reliability(path, title, n):
    error = np.random.default_rng(0).normal(size=n)
    ensemble.draw_reliability([path], error, np.ones(n), title=title)


def draw_confusion(path, title, n):
    errors = SimpleNamespace(confusion=[[n, 1], [2, n]], roc_auc=None, accuracy=0.9, n=2 * n + 3)
    plots.confusion([path], Quantity("phase", classes=2, class_names=("a", "b")), errors, title=title)


@pytest.mark.parametrize("draw", [draw_parity, draw_reliability, draw_confusion])
@pytest.mark.parametrize("n", [40, 3000])
def test_a_long_title_stays_inside_the_picture(drawn, tmp_path, draw, n):
    draw(tmp_path / "p.png", "an architecture of a long name, " * 3 + "123,456 training structures; test", n)
    figure = drawn[-1]
    figure.draw_without_rendering()
    box = figure.axes[0].title.get_window_extent()
    assert box.x0 >= 0.0
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1
    for other in figure.axes[1:]:  # the colour bar
        assert not box.overlaps(other.get_tightbbox())
