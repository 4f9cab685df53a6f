"""An ensemble that is there, half there or not there: trained to the end, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crystalcli.contracts.workflow import Request
from crystalcli.mechanisms.running import life
from crystalcli.mechanisms.running.run_folder import RECORD, RunFolder
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Exit, Stopped
from crystalcli.workflows.hearing import Listener
from crystalcli.workflows.services import Services
from crystalcli.workflows.train.train_workflow import TRAIN
from crystalcli.workflows.train.training_pulse import with_pulse


def trained(
    request: Request,
    members: int,
    listener: Listener,
    stop: Stop,
    prepare: Callable[[], None] = lambda: None,
    *,
    name: str = "ensemble",
    quiet: bool = False,
) -> Path:
    """Folder of the ensemble that ``request`` asks for; a training that was interrupted there goes on.

    Args:
        request: of the members.
        members: how many.
        listener: hears of it.
        stop: ends it.
        prepare: makes the caches that the training reads; not called where the training is finished.
        name: before the lines that say every minute how far it is.
        quiet: only those lines and warnings are heard.

    Raises:
        UsageError: the training cannot work, or what it reads has changed. Stopped: what was reached is kept.
    """
    path, options = request.path, request.options
    begun = (path / RECORD).exists()
    if begun and RunFolder.read(path)["exit_code"] == Exit.OK:
        return path
    prepare()
    host = with_pulse(Services(listener.say, listener.warn), name)
    host = replace(host, say=lambda _line: None) if quiet else host
    try:
        if begun:
            changes = {"threads": options.threads, "device": options.device}
            return life.resume(TRAIN, path, changes, host, stop).path
        whole = replace(request, options=replace(options, ensemble=members))
        return life.run(TRAIN, whole, host, stop).path
    except Stopped as problem:
        raise Stopped(f"{problem.reason.split(';')[0]}; the same command goes on") from None
