"""Labelled structures that a model has never seen, every crystal once: what a calibration can count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crystalcli.engine.model.taught import spellings
from crystalcli.engine.read.reading import Failure
from crystalcli.nouns.structures.read_options import DEFAULTS, ReadOptions
from crystalcli.prediction.predictor import Predictor
from crystalcli.prediction.reading import is_cache
from crystalcli.prediction.rows import Row
from crystalcli.vocabulary.errors import UsageError


@dataclass
class Counts:
    """What is not calibrated with.

    Args:
        skipped: structures that taught the model.
        unlabelled: structures without any label.
        repeated: structures that were there already.
        failures: what could not be predicted.
    """

    skipped: int = 0
    unlabelled: int = 0
    repeated: int = 0
    failures: list[Failure] = field(default_factory=list)


def new_rows(
    predictor: Predictor,
    counts: Counts,
    inputs: Sequence[str],
    how: ReadOptions = DEFAULTS,
    *,
    skip_known: bool,
    warn: Callable[[str], None],
) -> list[Row]:
    """Predictions with a label, of every crystal one, without those that the model was taught by.

    Raises:
        UsageError: there are such, and they are not to be skipped.
    """
    known, caches = predictor.taught, [Path(p).stem for p in inputs if is_cache(Path(p))]
    rows: list[Row] = []
    seen: set[tuple[bytes, ...]] = set()
    namesakes = 0
    for item in predictor.predict(inputs, how=how):
        if isinstance(item, Failure):
            counts.failures.append(item)
        elif not item.labels:
            counts.unlabelled += 1
        elif known.knows(item.crystal, item.id, caches):
            counts.skipped += 1
        elif (what := _input(item)) in seen:
            counts.repeated += 1
        else:
            seen.add(what)
            namesakes += bool(spellings(item.id, caches) & known.names)
            rows.append(item)
    if counts.skipped and not skip_known:
        raise UsageError(
            f"{counts.skipped} of {counts.skipped + len(rows)} labelled structures, {known.how}, trained or validated "
            "the model: errors on them are too small. Give others, or leave these out with --skip-known"
        )
    if known.doubt:
        warn(f"{predictor.path}: {known.doubt}")
    if namesakes:
        warn(f"{namesakes} structures have ids of the model's training, but are other crystals: they count")
    if counts.repeated:
        warn(f"{counts.repeated} labelled structures are crystals that were there already; each counts once")
    return rows


def _input(row: Row) -> tuple[bytes, ...]:
    """What the model is given of a structure, as bytes."""
    return (row.crystal, *(n.encode() + np.ascontiguousarray(v).tobytes() for n, v in sorted(row.fields.items())))
