"""One thing that ``crystal doctor`` has looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass

OK, WARNING, FAILED = "ok", "warning", "failed"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        what: it is. state: ``ok``, ``warning`` or ``failed``. said: what was found. cure: what to do; empty if nothing.
    """

    what: str
    state: str
    said: str
    cure: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)
