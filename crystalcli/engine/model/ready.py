"""Trained models that come with plugins: found by name, their files compared with their cards. Loads no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from crystalcli.contracts.records import ReadyModel
from crystalcli.engine.model.model_head import MODEL, VIEW, View
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files
from crystalcli.engine.run.run_folder import sha256
from crystalcli.vocabulary.errors import InputError

CARD = "card.json"
"""What is known of a model, beside its file."""
NEEDED = ("sha256", "licence", "level")
"""Texts that every card has."""


def names() -> list[str]:
    """Of all that plugins bring."""
    return registry().names("model")


def record(name: str) -> ReadyModel:
    """The model called ``name``, which is one of :func:`names`."""
    return cast(ReadyModel, registry().get("model", name))


def place(part: ReadyModel) -> Path:
    """Where its file is, or ought to be."""
    view = part.folder / VIEW
    return view if view.is_file() else part.folder / MODEL


def card(part: ReadyModel) -> dict[str, Any]:
    """What is known of the model.

    Raises:
        InputError: no card, or one that says too little.
    """
    path = part.folder / CARD
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as problem:
        raise InputError(f"the card of {part.name} is not there; {part.install}", path=path) from problem
    except OSError as problem:
        raise files.environment_problem(problem, path) from problem
    except (ValueError, RecursionError) as problem:
        raise InputError(f"the card of {part.name} is damaged; {part.install}", path=path) from problem
    missing = [k for k in NEEDED if not isinstance(found, dict) or not isinstance(found.get(k), str)]
    if missing:
        raise InputError(f"the card of {part.name} does not say its {missing[0]}; {part.install}", path=path)
    return dict(found)


def checked(part: ReadyModel) -> Path:
    """Its file, which is the one that its card speaks of.

    Raises:
        InputError: it is not there, or was damaged or changed; says what brings it again.
    """
    path, expected = place(part), card(part)["sha256"]
    if not path.is_file():
        raise InputError(f"the file of {part.name} is not there; {part.install}", path=path)
    if (found := sha256(path)) != expected:
        said = f"{part.name} is damaged or was changed: sha256 {found[:12]}…, not {expected[:12]}…"
        raise InputError(f"{said}; {part.install}", path=path)
    if path.name == VIEW:
        try:
            View.read(path)
        except InputError as problem:
            raise InputError(f"{problem.reason}; {part.install}", path=problem.path) from problem
    return path
