"""Shards that are finished, each with its outcomes in one immutable file: a CRC32, a blank, JSON."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

from crystalcli.engine.run import files
from crystalcli.relax.outcome import Outcome
from crystalcli.vocabulary.errors import InputError


def keep(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write down what came of a shard.

    Raises:
        EnvironmentProblem: disk full, no permission.
    """
    body = json.dumps([o.to_json() for o in outcomes], ensure_ascii=False, allow_nan=False).encode()
    files.write_bytes(path, _sum(body) + b" " + body)


def read(path: Path) -> list[Outcome]:
    """What :func:`keep` wrote.

    Raises:
        InputError: it is damaged. OSError: it cannot be read.
    """
    told, _, body = path.read_bytes().partition(b" ")
    if told != _sum(body):
        raise InputError("is damaged; the same command relaxes its structures again", path=path)
    return [Outcome.from_json(o) for o in json.loads(body)]


def _sum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)
