"""The results of a Matbench task in the file that its leaderboard takes: ``MatbenchBenchmark.from_file`` reads it.

``matbench/bench.py`` and ``matbench/task.py`` of ``materialsproject/matbench`` 0.6: by task and fold the prediction
of every id, the scores and no parameters; the file is sealed with the sha256 of its JSON with sorted keys. The date is
left empty, so that equal runs are equal bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crystalcli.engine.evaluate import metrics

Floats = NDArray[np.float64]
VERSION = "0.6"
SMALLEST = 1e-5
"""Labels nearer to zero are left out of the mean relative error (``mean_absolute_percentage_error`` of Matbench)."""


def scores(predicted: Floats, true: Floats) -> dict[str, float]:
    """Matbench's scores of a regression: MAE, RMSE, mean relative error, largest error."""
    found = metrics.regression(predicted, true)
    far = np.abs(true) > SMALLEST
    mape = float(np.mean(np.abs((true[far] - predicted[far]) / true[far]))) if far.any() else float("nan")
    return {"mae": found.mae, "rmse": found.rmse, "mape": mape, "max_error": found.max_error}


def results(task: str, folds: Mapping[str, tuple[list[str], Floats, Floats]]) -> bytes:
    """The file, gzipped.

    Args:
        task: its name.
        folds: by Matbench's name: ids, predictions and labels, in one order.
    """
    found = {
        fold: {
            "data": dict(zip(ids, predicted.tolist(), strict=True)),
            "parameters": {},
            "scores": scores(predicted, true),
        }
        for fold, (ids, predicted, true) in folds.items()
    }
    data: dict[str, Any] = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": VERSION,
        "benchmark_name": "matbench_v0.1",
        "datestamp": "",
        "user_metadata": {},
        "tasks": {
            task: {
                "@module": "matbench.task",
                "@class": "MatbenchTask",
                "benchmark_name": "matbench_v0.1",
                "dataset_name": task,
                "results": found,
            }
        },
    }
    data["hash"] = seal(data)
    return gzip.compress(json.dumps(data, sort_keys=True).encode(), mtime=0)


def seal(data: Mapping[str, Any]) -> str:
    """The hash by which Matbench knows that nobody has changed a file."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
