"""The parts keep the contracts that crystal's own parts keep."""

from __future__ import annotations

from typing import Any, ClassVar

from crystal_filter import ATTENTION, FILTER, INVERSE

from crystalcli.testing import ArchitectureContract, FeaturizerContract, HeadContract


class TestInverse(FeaturizerContract):
    """Featurizer ``inverse``."""

    part = INVERSE


class TestFilter(ArchitectureContract):
    """Architecture ``filter``."""

    part = FILTER


class TestAttention(HeadContract):
    """Head ``attention`` with its defaults."""

    part = ATTENTION


class TestManyHeads(HeadContract):
    """Head ``attention`` with several sets of weights."""

    part = ATTENTION
    options: ClassVar[dict[str, Any]] = {"heads": 3, "hidden": 8}
