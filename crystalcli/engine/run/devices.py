"""Where tensors live: the device that a word means."""

from __future__ import annotations

import torch

from crystalcli.vocabulary.errors import EnvironmentProblem, UsageError, did_you_mean


def choose_device(wish: str) -> torch.device:
    """Device for ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        EnvironmentProblem: it is not there. UsageError: no such word.
    """
    if wish == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = wish.split(":", maxsplit=1)[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise UsageError(f"no device '{wish}'; {did_you_mean(wish, ('auto', 'cpu', 'cuda', 'mps'))}")
    try:
        torch.zeros(1, device=wish)
    except (RuntimeError, AssertionError) as problem:
        raise EnvironmentProblem(f"device '{wish}' is not available here; use --device cpu") from problem
    return torch.device(wish)
