"""What the word of ``--potential`` means: a trained model or a calculator by name. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from crystalcli.contracts.records import Calculator
from crystalcli.engine.model.model_head import MODEL, cure_of_missing
from crystalcli.engine.model.model_names import file_of
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.vocabulary.errors import UsageError, did_you_mean


def model_file(text: str) -> Path | None:
    """The model file that ``text`` means, itself, in the run folder of that name, or pretrained; none if it is none."""
    path = file_of(Path(text))
    return path if path.is_file() else None


def shadowed_calculator(word: object) -> Iterator[str]:
    """What to say where ``word``, the value of an option, is a model here and a calculator besides."""
    if isinstance(word, str) and word in registry().names("calculator") and model_file(word) is not None:
        yield f"{word} is the file or folder here; for the calculator by that name, rename it or work in another folder"


def required(text: str) -> None:
    """Refuse to do without a potential.

    Raises:
        UsageError: ``text`` is empty; says what there is.
    """
    if not text:
        known = ", ".join([*registry().names("pretrained"), *registry().names("calculator")])
        raise UsageError(f"no potential; give --potential a model file, a run folder or one of {known}")


def calculator(text: str) -> Calculator | None:
    """The calculator called ``text``; none where ``text`` is a model.

    Raises:
        UsageError: neither; says what is near of both.
    """
    if model_file(text) is not None:
        return None
    known = registry()
    if ("calculator", text) in known.parts or ("calculator", text) in known.refused:
        return cast(Calculator, known.get("calculator", text))
    if Path(text).is_dir():
        cure = cure_of_missing(Path(text)) or "; give a model file or a finished run"
        raise UsageError(f"is a folder without a {MODEL}{cure}", path=text)
    hint = did_you_mean(text, [*known.names("calculator"), *known.names("pretrained")])
    said = f"no potential '{text}': no model file or run folder is there, and no calculator"
    raise UsageError(f"{said}{known.broken_hint()}; {hint}")  # the list is long, and what is behind it may be cut
