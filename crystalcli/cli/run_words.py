"""How the states and ages of runs look."""

from __future__ import annotations

from datetime import UTC, datetime

STYLES = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "failed": "red",
    "killed": "red",
    "unknown": "magenta",
}
"""By state: how it is printed on a terminal."""


def age(since: datetime) -> str:
    """``3 min``."""
    from crystalcli.engine.run.progress import spoken

    return spoken(max(0.0, (datetime.now(UTC) - since).total_seconds()))
