"""A model is built with random weights before those of its file are put in: no more of them than the file has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.nn.parameter import is_lazy

from crystalcli.vocabulary.errors import InputError

SMALL = 1_000_000
"""Numbers that any file may make us hold, so that what it lacks can be named."""


@contextmanager
def no_more_numbers_than(most: int) -> Iterator[None]:
    """Refuse modules that are built here as soon as their weights and buffers hold more than ``most`` numbers.

    Layers register their weights before they fill them, and memory that is not filled costs nothing: a small file
    cannot make us hold what only its options ask for.

    Raises:
        InputError: they hold more.
    """
    held = 0

    def count(_module: nn.Module, _name: str, value: Tensor | None) -> None:
        nonlocal held
        if value is not None and not is_lazy(value):
            held += value.numel()
        if held > most:
            raise InputError("damaged model: its options ask for more weights than the file has")

    handles = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
