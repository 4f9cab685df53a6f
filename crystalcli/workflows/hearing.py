"""Listeners whose words are written down as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from crystalcli.workflows import relaxation_plan, training_plan

L = TypeVar("L", training_plan.Listener, relaxation_plan.Listener)


def heard(listener: L, log: Callable[[str], None]) -> L:
    """Tell ``log`` all that ``listener`` hears."""

    def say(text: str) -> None:
        log(text)
        listener.say(text)

    def warn(text: str) -> None:
        log(f"warning: {text}")
        listener.warn(text)

    return replace(listener, say=say, warn=warn)
