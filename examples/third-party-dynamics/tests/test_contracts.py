"""The parts keep the contracts that crystal's own parts keep."""

from __future__ import annotations

from typing import Any, ClassVar

from crystal_downhill import ANDERSEN, BARZILAI

from crystalcli.testing import RelaxerContract, SamplerContract


class TestBarzilai(RelaxerContract):
    """Relaxer ``barzilai``."""

    part = BARZILAI


class TestAndersen(SamplerContract):
    """Sampler ``andersen``."""

    part = ANDERSEN


class TestRareCollisions(SamplerContract):
    """Without collisions it is plain Newton, which can be turned round."""

    part = ANDERSEN
    options: ClassVar[dict[str, Any]] = {"rate": 0.0}
    reversible = True
