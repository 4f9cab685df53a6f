"""Random numbers for batches in motion, for every structure its own. Imports torch: records must not import it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crystalcli.vocabulary.seeds import seed_of


class StructureNoise(torch.Generator):
    """Numbers of one step. What a structure draws depends on seed, its id, the step and what it drew in this step.

    It does not depend on the company or the place of a structure, nor on the device: a counter-based generator
    (Philox, J. K. Salmon et al., SC '11, doi:10.1145/2063384.2063405, as numpy has it) has a stream for each id, and
    the step is its counter, so that nothing needs saving for a restart.

    It is a :class:`torch.Generator`, too, seeded for the step, for samplers that draw for the batch as a whole.

    Args:
        seed: of the run.
        ids: of the S structures. counts: their atoms.
        device: where the numbers are wanted.
    """

    def __new__(cls, *_: object, device: torch.device) -> StructureNoise:
        """A generator on ``device``."""
        made: StructureNoise = torch.Generator.__new__(cls, device)  # type: ignore[call-arg]  # its stubs have __init__ only
        return made

    def __init__(self, seed: int, ids: Sequence[str], counts: Sequence[int], *, device: torch.device) -> None:
        self.counts = tuple(counts)
        self.keys = [np.array([seed_of("noise", seed, name, k) for k in (0, 1)], dtype=np.uint64) for name in ids]
        self.target = device
        self.step, self.draws = 0, 0
        self._offset = seed_of("noise", seed) & 0xFFFFFFFF
        self._bits = np.random.Philox(key=0)
        self._numbers = np.random.Generator(self._bits)
        self._state: Any = self._bits.state

    def at(self, step: int) -> StructureNoise:
        """This, seeded for ``step``."""
        x = (step + self._offset) & 0xFFFFFFFF  # 32 bits are mixed one to one: no two steps share their numbers
        x = ((x ^ (x >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
        self.manual_seed(x ^ (x >> 16))
        self.step, self.draws = step, 0
        return self

    def normal(self) -> Tensor:
        """Normal deviates for every atom, (N, 3) float64: mean zero, variance one."""
        return self._drawn(self.counts, lambda n: self._numbers.standard_normal((n, 3)))

    def normal_of_structures(self) -> Tensor:
        """The same for every structure, (S, 3)."""
        return self._drawn((1,) * len(self.counts), lambda n: self._numbers.standard_normal((n, 3)))

    def uniform(self) -> Tensor:
        """A number in [0, 1) for every atom, (N,) float64."""
        return self._drawn(self.counts, self._numbers.random)

    def _drawn(self, counts: Sequence[int], draw: Callable[[int], NDArray[np.float64]]) -> Tensor:
        parts = []
        for key, count in zip(self.keys, counts, strict=True):
            counter = np.array([0, 0, self.draws, self.step], dtype=np.uint64)  # words below count what is drawn
            self._state["state"] = {"counter": counter, "key": key}
            self._bits.state = self._state
            parts.append(draw(count))
        self.draws += 1
        return torch.from_numpy(np.concatenate(parts)).to(self.target)
