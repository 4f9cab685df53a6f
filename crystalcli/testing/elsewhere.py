"""Another machine, as far as this one can play it: other threads, and decompositions that come out otherwise.

An eigendecomposition, a singular value or QR decomposition is a choice: signs are free, and where values are equal so
are the axes of their space. Which choice is made hangs on processor, library and number of threads.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.linalg
import torch

NEAR = 1e-9
"""Values that differ by less than this times the largest are equal to rounding."""
ANGLE = 0.7


@contextmanager
def elsewhere() -> Iterator[None]:
    """Compute with another number of threads, and let numpy, scipy and torch decompose matrices otherwise.

    Everything they give is right, with other signs and other axes of spaces whose values are equal to rounding.
    """
    threads, places = torch.get_num_threads(), _places()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        for owner, name, found, other in places:
            setattr(owner, name, other(found))
        yield
    finally:
        for owner, name, found, _ in places:
            setattr(owner, name, found)
        torch.set_num_threads(threads)


Function = Callable[..., Any]


def _places() -> list[tuple[Any, str, Function, Callable[[Function], Function]]]:
    """Where a decomposition can be called by name: its library, and modules that have taken it over."""
    known: list[tuple[Any, str, Callable[[Function], Function]]] = [
        *(
            (library, name, other)
            for library in (np.linalg, torch.linalg, scipy.linalg)
            for name, other in OTHER.items()
        ),
        *((owner, "svd", _svd_with_columns) for owner in (torch, torch.Tensor)),
        *((owner, "qr", _qr) for owner in (torch, torch.Tensor)),
    ]
    by_id = {id(getattr(owner, name)): other for owner, name, other in known}
    places = [(owner, name, getattr(owner, name), other) for owner, name, other in known]
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if (other := by_id.get(id(value))) and not any(module is owner and name == n for owner, n, _ in known):
                places.append((module, name, value, other))
    return places


def _eigh(found: Function) -> Function:
    def other(*args: Any, **kwargs: Any) -> Any:
        made = found(*args, **kwargs)
        if not isinstance(made, tuple) or len(made) != 2:
            return made  # values alone are no choice
        values, axes = made
        return _like(made, values, axes @ _turn(values, axes))

    return other


def _eig(found: Function) -> Function:
    def other(*args: Any, **kwargs: Any) -> Any:
        made = found(*args, **kwargs)
        if not isinstance(made, tuple) or len(made) != 2:
            return made
        return _like(made, made[0], -made[1])

    return other


def _svd(found: Function) -> Function:
    """``U S Vh``."""

    def other(*args: Any, **kwargs: Any) -> Any:
        made = found(*args, **kwargs)
        if not isinstance(made, tuple) or len(made) != 3:
            return made
        u, s, vh = made
        turn, k = _turn(s, u), s.shape[-1]
        left, right = _copy(u), _copy(vh)
        left[..., :, :k] = u[..., :, :k] @ turn
        right[..., :k, :] = _transposed(turn) @ vh[..., :k, :]
        return _like(made, left, s, right)

    return other


def _svd_with_columns(found: Function) -> Function:
    """``U S V`` of torch's older function."""

    def other(*args: Any, **kwargs: Any) -> Any:
        made = found(*args, **kwargs)
        u, s, v = made
        turn, k = _turn(s, u), s.shape[-1]
        left, right = _copy(u), _copy(v)
        left[..., :, :k], right[..., :, :k] = u[..., :, :k] @ turn, v[..., :, :k] @ turn
        return _like(made, left, s, right)

    return other


def _qr(found: Function) -> Function:
    def other(*args: Any, **kwargs: Any) -> Any:
        made = found(*args, **kwargs)
        if not isinstance(made, tuple) or len(made) != 2:
            return made
        q, r = made
        if q.shape[-1] != r.shape[-2]:
            return made  # R alone was asked for
        return _like(made, -q, -r)

    return other


OTHER: dict[str, Callable[[Function], Function]] = {"eigh": _eigh, "eig": _eig, "svd": _svd, "qr": _qr}


def _turn(values: Any, like: Any) -> Any:
    """Orthogonal (…, K, K): every other sign changed, and neighbors in a row of equal values turned into each other."""
    plain = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, dtype=np.float64)
    k = plain.shape[-1]
    turn = np.zeros((*plain.shape, k))
    for place in np.ndindex(plain.shape[:-1]):
        row, one = plain[place], np.diag(np.where(np.arange(k) % 2, 1.0, -1.0))
        for a in range(k - 1):
            if abs(row[a + 1] - row[a]) <= NEAR * np.abs(row).max():
                rotation = np.eye(k)
                rotation[a : a + 2, a : a + 2] = [
                    [np.cos(ANGLE), -np.sin(ANGLE)],
                    [np.sin(ANGLE), np.cos(ANGLE)],
                ]
                one = one @ rotation
        turn[place] = one
    if isinstance(like, torch.Tensor):
        return torch.as_tensor(turn, dtype=like.dtype, device=like.device)
    return turn.astype(np.asarray(like).dtype)


def _like(made: Any, *parts: Any) -> Any:
    """A tuple of the same kind."""
    if type(made) is tuple:
        return parts
    return type(made)(parts) if isinstance(parts[0], torch.Tensor) else type(made)(*parts)


def _copy(x: Any) -> Any:
    return x.clone() if isinstance(x, torch.Tensor) else np.array(x)


def _transposed(x: Any) -> Any:
    return x.mT if isinstance(x, torch.Tensor) else np.swapaxes(x, -1, -2)
