"""An ensemble that is there, half there or not there: trained to the end, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Exit, Stopped
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.train import training_series
from crystalcli.workflows.train.training_plan import TrainingPlan
from crystalcli.workflows.train.training_series import Series


def trained(
    plan: TrainingPlan,
    members: int,
    listener: Listener,
    stop: Stop,
    prepare: Callable[[], None] = lambda: None,
) -> Path:
    """Folder of the ensemble that ``plan`` makes; a training that was interrupted there goes on.

    Args:
        plan: of the members.
        members: how many.
        listener: hears of it.
        stop: ends it.
        prepare: makes the caches that the training reads; not called where the training is finished.

    Raises:
        UsageError: the training cannot work, or what it reads has changed. Stopped: what was reached is kept.
    """
    path = Path(plan.output)
    begun = (path / RECORD).exists()
    if begun and RunFolder.read(path)["exit_code"] == Exit.OK:
        return path
    prepare()
    try:
        if begun:
            changes = {"threads": plan.threads, "device": plan.device}
            return training_series.resume(path, changes, listener, stop).folder
        whole = replace(plan, overwrite=True)
        return training_series.run(whole, Series(members, ensemble=True), listener, stop).folder
    except Stopped as problem:
        raise Stopped(f"{problem.reason.split(';')[0]}; the same command goes on") from None
