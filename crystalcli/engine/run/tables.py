"""Rows as JSON lines, whatever an id holds: line ends, escape sequences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from crystalcli.vocabulary.texts import json_inert


def json_line(row: Mapping[str, Any], *, sort_keys: bool = False) -> str:
    """One JSON line with its line end; no NaN, nothing that steers a terminal."""
    return json_inert(json.dumps(row, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)) + "\n"
