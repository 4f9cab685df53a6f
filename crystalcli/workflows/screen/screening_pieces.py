"""Predictions of many candidates, piece by piece: a killed screening does not ask again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.running.journal import Journal
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Stopped
from crystalcli.workflows.screen.screening_data import Pool
from crystalcli.workflows.screen.screening_plan import ScreeningPlan
from crystalcli.workflows.screen.screening_prediction import predicted

PIECE = 1024
"""Candidates that are predicted, and written down, together."""


def journaled(
    model: model_file.AnyModel,
    pool: Pool,
    provenance: Mapping[str, Any],
    plan: ScreeningPlan,
    journal: Journal,
    stop: Stop,
) -> list[Candidate]:
    """Predictions of all candidates; those that were written down before are not made again.

    Raises:
        Stopped: asked to; what is finished is kept.
    """

    def ask(missing: Iterable[tuple[str, Pool]]) -> Iterator[tuple[str, Any]]:
        for key, some in missing:
            if why := stop.reason():
                raise Stopped(f"stopped by {why}; the same command or --resume {plan.output} goes on")
            made = predicted(model, some, provenance, device=plan.device, batch_size=plan.batch_size)
            yield key, [vars(c) for c in made]

    starts = range(0, len(pool), PIECE)
    pieces = [
        (str(k), replace(pool, index=pool.index[k : k + PIECE], energy=pool.energy[k : k + PIECE])) for k in starts
    ]
    every = [c for piece in journal.work(pieces, ask) for c in piece]
    return [Candidate(**{**c, "members": tuple(c["members"])}) for c in every]
