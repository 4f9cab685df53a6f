"""Predictions of many candidates, piece by piece: a killed screening does not ask again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from crystalcli.mechanisms.models import model_file
from crystalcli.mechanisms.phases.screening import Candidate
from crystalcli.mechanisms.running.journal import Journal
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.vocabulary.errors import Stopped
from crystalcli.workflows.screen.screening_data import Pool
from crystalcli.workflows.screen.screening_plan import ScreeningPlan
from crystalcli.workflows.screen.screening_prediction import Answer, ask, candidates

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
    amounts = pool.amounts()

    def answers(missing: Iterable[tuple[str, slice]]) -> Iterator[tuple[str, Any]]:
        for key, part in missing:
            if why := stop.reason():
                raise Stopped(f"stopped by {why}; the same command or --resume {plan.output} goes on")
            some = replace(pool, index=pool.index[part], energy=pool.energy[part])
            said = ask(model, some, amounts[part], provenance, device=plan.device, batch_size=plan.batch_size)
            yield key, said.to_json()

    pieces = [(str(k), slice(k, k + PIECE)) for k in range(0, len(pool), PIECE)]
    parts = [Answer.from_json(said) for said in journal.work(pieces, answers)]
    if not parts:
        return []
    whole = Answer(np.concatenate([p.numbers for p in parts]), tuple(f for p in parts for f in p.flags))
    return candidates(model, pool.ids, amounts, whole)
