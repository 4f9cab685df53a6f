"""TOML files of stages, one after the other: a list ``[[stage]]`` and nothing else."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from crystalcli.vocabulary.errors import UsageError, did_you_mean


def stage_tables(path: Path, what: str, keys: Collection[str]) -> list[Mapping[str, Any]]:
    """The stages of the file, one at least.

    Args:
        path: of the file.
        what: it is called, for the message.
        keys: that a stage may have.

    Raises:
        UsageError: the file cannot be read, holds something else, or a stage has another key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise UsageError(f"cannot read this {what}: {problem.strerror}", path=path) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"is no TOML: {problem}", path=path) from problem
    stages = data.get("stage")
    if set(data) != {"stage"} or not isinstance(stages, list) or not stages:
        raise UsageError("must hold stages, each under [[stage]], and nothing else", path=path)
    for k, stage in enumerate(stages, 1):
        if not isinstance(stage, Mapping):
            raise UsageError(f"stage {k} is no table", path=path)
        for key in stage:
            if key not in keys:
                raise UsageError(f"stage {k}: unknown key '{key}'; {did_you_mean(key, tuple(keys))}", path=path)
    return stages
