"""An ensemble that is there, half there or not there: trained to the end, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crystalcli.contracts.request import Request
from crystalcli.contracts.workflow import Run
from crystalcli.engine.host import life
from crystalcli.engine.run.run_folder import RECORD, RunFolder
from crystalcli.train.workflow import TRAIN
from crystalcli.vocabulary.errors import Exit, Stopped


def trained(request: Request, members: int, run: Run, prepare: Callable[[], None] = lambda: None, *, name: str) -> Path:
    """Folder of the ensemble that ``request`` asks for; a training that was interrupted there goes on.

    Args:
        request: of the members.
        members: how many.
        run: in which they are trained; hears warnings, and every minute how far it is.
        prepare: makes the caches that the training reads; not called where the training is finished.
        name: before these lines.

    Raises:
        UsageError: the training cannot work, or what it reads has changed. Stopped: what was reached is kept.
    """
    path, options = request.path, request.options
    begun = (path / RECORD).exists()
    if begun and RunFolder.read(path)["exit_code"] == Exit.OK:
        return path
    prepare()
    host = replace(run.reporter.within(name), say=lambda _line: None)
    try:
        if begun:
            changes = {"threads": options.threads, "device": options.device}
            return life.resume(TRAIN, path, changes, host, run.stop).path
        whole = replace(request, options=replace(options, ensemble=members))
        return life.run(TRAIN, whole, host, run.stop).path
    except Stopped as problem:
        raise Stopped(f"{problem.reason.split(';')[0]}; the same command goes on") from None
