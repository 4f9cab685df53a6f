"""Shards that are finished, each with its outcomes in one immutable file, sealed as a line of a journal is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from crystalcli.engine.run import files
from crystalcli.engine.run.journal import sealed, unsealed
from crystalcli.relax.outcome import Outcome
from crystalcli.vocabulary.errors import InputError


def keep(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write down what came of a shard.

    Raises:
        EnvironmentProblem: disk full, no permission.
    """
    files.write_bytes(path, sealed(json.dumps([o.to_json() for o in outcomes], ensure_ascii=False, allow_nan=False)))


def read(path: Path) -> list[Outcome]:
    """What :func:`keep` wrote.

    Raises:
        InputError: it is damaged. OSError: it cannot be read.
    """
    found = unsealed(path.read_bytes())
    if found is None:
        raise InputError("is damaged; the same command relaxes its structures again", path=path)
    return [Outcome.from_json(o) for o in found]
