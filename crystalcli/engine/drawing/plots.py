"""Pictures of a run: the learning curve and the parity of predicted and true values. Drawn without a display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.contracts.drawing import BLUE, GREY, ORANGE, canvas, rendered
from crystalcli.engine.evaluate import metrics
from crystalcli.engine.run import files
from crystalcli.vocabulary.display import number, unit_for
from crystalcli.vocabulary.pictures import of_any_format
from crystalcli.vocabulary.quantities import Quantity
from crystalcli.vocabulary.texts import inert

MANY = 2000
"""More points than this are drawn as densities."""


def save(figure: Any, paths: Sequence[Path]) -> None:
    """Write ``figure`` to every one of ``paths``, in the format of its ending; equal pictures are equal bytes.

    The same picture in other formats, of an earlier run, goes.
    """
    for old in set(of_any_format(path.with_name(path.name.removesuffix(path.suffix)) for path in paths)) - set(paths):
        files.remove(old)
    drawn = rendered(figure, [path.suffix.removeprefix(".") for path in paths])
    for path, data in zip(paths, drawn.values(), strict=True):
        files.write_bytes(path, data)


def parity(
    paths: Sequence[Path],
    quantity: Quantity,
    true: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    mae: float,
    title: str,
    baseline: float | None = None,
    words: tuple[str, str] = ("MAE", "mean predictor"),
    unit: str = "",
) -> None:
    """Draw predicted against true values of a target.

    Args:
        paths: files to write, the format by their endings.
        quantity: name and unit for the axes.
        true: (n,) in the target's unit.
        predicted: (n,) in the target's unit.
        mae: mean absolute error of the model.
        title: what was trained or evaluated.
        baseline: that of always answering the mean.
        words: what the error and the baseline are called.
        unit: of the errors, where it is not the target's.
    """
    figure, axes = canvas(5.0 + 0.9 * (len(true) > MANY), 5.0)
    low, high = float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))
    margin = 0.04 * ((high - low) or 1.0)
    ends = (low - margin, high + margin)
    if len(true) > MANY:
        drawn = axes.hexbin(true, predicted, gridsize=80, extent=(*ends, *ends), bins="log", cmap="viridis", mincnt=1)
        figure.colorbar(drawn, ax=axes, label=_counted(quantity), shrink=0.75, format="{x:,.0f}")
    else:
        axes.plot(true, predicted, "o", ms=4, mew=0, alpha=0.5, color=BLUE)
    axes.plot(ends, ends, "-", lw=1, color=GREY, zorder=0 if len(true) <= MANY else 3)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.ticklabel_format(useOffset=False)
    axes.locator_params(nbins=5)
    said = f" ({quantity.unit})" if quantity.unit else ""
    axes.set_xlabel(f"{_words(quantity.name)}, true{said}")
    axes.set_ylabel(f"{_words(quantity.name)}, predicted{said}")
    factor, small = unit_for(mae, replace(quantity, unit=unit or quantity.unit))
    text = f"{words[0]} {number(mae * factor)} {small}".rstrip()
    if baseline is not None:
        text += f"   ({words[1]} {number(baseline * factor)})"
    axes.set_title(f"{title}\n{text}   n = {len(true)}", fontsize=10)
    save(figure, paths)


def confusion(paths: Sequence[Path], quantity: Quantity, errors: metrics.ClassErrors, *, title: str) -> None:
    """Draw how many structures of each true class were given each class.

    Args:
        paths: files to write, the format by their endings.
        quantity: name and class names.
        errors: with the table of numbers.
        title: what was trained or evaluated.
    """
    table = np.array(errors.confusion)
    n = len(table)
    side = min(4.0 + 0.25 * n, 14.0)
    figure, axes = canvas(side + 0.6, side)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.75)
    if n <= 20:
        words = [inert(word) for word in quantity.words]
        for i, j in np.ndindex(n, n):
            axes.text(
                j, i, str(table[i, j]), ha="center", va="center", color="white" if shares[i, j] > 0.6 else "black"
            )
        axes.set_xticks(range(n), words, rotation=0 if n < 5 else 90)
        axes.set_yticks(range(n), words)
    axes.set_xlabel(f"{_words(quantity.name)}, predicted")
    axes.set_ylabel(f"{_words(quantity.name)}, true")
    area = "" if errors.roc_auc is None else f"   ROC-AUC {errors.roc_auc:.3f}"
    axes.set_title(f"{title}\naccuracy {errors.accuracy:.3f}{area}   n = {errors.n}", fontsize=10)
    save(figure, paths)


def learning_curve(
    paths: Sequence[Path],
    rows: Sequence[Mapping[str, Any]],
    baselines: Mapping[Quantity, Mapping[str, float]],
    *,
    title: str,
    best_epoch: int,
) -> None:
    """Draw the validation error of every epoch, target by target, beside the baselines, and the training loss.

    Several targets share one score, by which the epoch that is kept was chosen: it is drawn below them.

    Args:
        paths: files to write, the format by their endings.
        rows: lines of metrics.jsonl.
        baselines: of every target drawn the test MAE of each baseline.
        title: what was trained.
        best_epoch: epoch whose weights were kept.
    """
    several = len(baselines) > 1
    figure, panels = canvas(6.4, 3.4 + 1.8 * (len(baselines) + several - 1) + 1.8, rows=len(baselines) + several + 1)
    epochs = [r["epoch"] for r in rows]
    mark = "." if len(rows) < 60 else ""
    for axes, (quantity, lines) in zip(panels, baselines.items(), strict=False):
        _validation(axes, rows, quantity, lines, mark)
    if several:
        panels[-2].plot(epochs, [r["val_score"] for r in rows], "-", marker=mark, lw=1.5, color=BLUE, label="mean")
        panels[-2].set_ylabel("mean of all\n(std. deviations)", fontsize=9)
        plain_log(panels[-2])
    for axes in panels[:-1]:
        axes.axvline(best_epoch, lw=4, color=BLUE, alpha=0.2, label=f"kept: epoch {best_epoch}")
    if any(quantity.name in r["val"] for r in rows for quantity in baselines):
        panels[0].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    losses = [np.nan if r["train_loss"] is None else r["train_loss"] for r in rows]
    lower = panels[-1]
    lower.plot(epochs, losses, "-", marker=mark, lw=1.5, color=ORANGE)
    if min(losses) > 0:
        plain_log(lower)
    lower.set_ylabel("training loss" + ("" if any(q.classes for q in baselines) else "\n(std. deviations)"), fontsize=9)
    lower.set_xlabel("epoch")
    lower.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_title(title if several else f"{title}; {_words(next(iter(baselines)).name)}", fontsize=10)
    save(figure, paths)


def _validation(
    axes: Any, rows: Sequence[Mapping[str, Any]], quantity: Quantity, baselines: Mapping[str, float], mark: str
) -> None:
    """One panel: the validation error of a target."""
    key = "log_loss" if quantity.classes else "mae"
    found = [r["val"].get(quantity.name) or {} for r in rows]
    values = np.array([one.get(key, np.nan) for one in found], dtype=np.float64)
    finite = values[np.isfinite(values)]
    label = "MAE" if key == "mae" else "log loss"
    name = f"{_words(quantity.name)}, validation\n{label}"
    if len(finite):
        counted = replace(quantity, unit=next((one["unit"] for one in found if "unit" in one), quantity.unit))
        factor, unit = unit_for(float(finite.min()), counted) if key == "mae" else (1.0, "")
        axes.plot([r["epoch"] for r in rows], values * factor, "-", marker=mark, color=BLUE, lw=1.5, label="validation")
        for (line, mae), style in zip(baselines.items(), ("--", "-.", ":"), strict=False):
            axes.axhline(mae * factor, ls=style, lw=1, color=GREY, label=f"baseline {line} (test)")
        name += f" ({unit})" if unit else ""
        plain_log(axes)
    axes.set_ylabel(name, fontsize=9)


def plain_log(axes: Any) -> None:
    """Logarithmic axis with numbers that people read; a narrow range stays linear, where it has more of them."""
    low, high = axes.get_ylim()
    if low > 0 and high / low < 4:
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = high / low < 30
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _counted(quantity: Quantity) -> str:
    """What the points of a parity plot are."""
    things = {"structure": "structures", "site": "atoms", "edge": "edges"}[quantity.level]
    return f"components of {things}" if quantity.shape else things


def _words(name: str) -> str:
    return name.replace("_", " ")
