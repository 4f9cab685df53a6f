"""In which formats pictures are written: the one place that knows the endings of their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from crystalcli.vocabulary.errors import UsageError, did_you_mean

FORMATS = ("png", "svg", "pdf")
"""Endings of the names of pictures."""
DEFAULT = "png"


def formats(text: str) -> tuple[str, ...]:
    """Read ``svg`` or ``svg,pdf``: the formats, each once.

    Raises:
        UsageError: none, or one that is not there.
    """
    words = [word.strip().lower().removeprefix(".") for word in text.split(",")]
    for word in words:
        if word not in FORMATS:
            raise UsageError(
                f"--pictures '{text}': no format '{word}'; {did_you_mean(word, FORMATS)}; several with commas: svg,pdf"
            )
    return tuple(dict.fromkeys(words))


def paths(stem: Path, pictures: str = DEFAULT) -> list[Path]:
    """Files of one picture, a file for each format of ``pictures``; ``stem`` is their name without the ending."""
    return [stem.with_name(f"{stem.name}.{ending}") for ending in formats(pictures)]


def of_any_format(stems: Iterable[Path]) -> Iterator[Path]:
    """What ``stems`` may be called in any format: what an earlier run may have left."""
    for stem in stems:
        yield from paths(stem, ",".join(FORMATS))
