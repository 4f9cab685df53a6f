"""The parts of the package keep the contracts, and an untrained model moves nothing."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from crystal_dogss import DISPLACEMENTS, DOGSS, POSITIONS, SPRINGS, STRAIN

from crystalcli.testing import ArchitectureContract, HeadContract


class TestDogss(ArchitectureContract):
    part = DOGSS
    options: ClassVar[dict[str, Any]] = {"width": 12, "n_conv": 2, "vectors": 3}


class TestWithoutVectors(ArchitectureContract):
    part = DOGSS
    options: ClassVar[dict[str, Any]] = {"width": 8, "n_conv": 2, "vectors": 0, "norm": "layer"}


class OfPositions(HeadContract):
    targets = (POSITIONS,)
    means = (0.0,)
    scales = (0.1,)

    def build(self, factor: float = 1.0, elements: tuple[int, ...] = ()) -> Any:
        """Last layers begin at zero: such a head moves nothing, and nothing could be seen of what it does."""
        module = super().build(factor, elements)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return module


class TestSprings(OfPositions):
    part = SPRINGS
    options: ClassVar[dict[str, Any]] = {"hidden": 8, "n_hidden": 1, "gradient": "unrolled", "step": 0.05}


class TestCells(OfPositions):
    part = SPRINGS
    targets = (POSITIONS, STRAIN)
    means = (0.0, 0.0)
    scales = (0.1, 0.02)
    options: ClassVar[dict[str, Any]] = {
        "hidden": 8,
        "n_hidden": 1,
        "gradient": "unrolled",
        "step": 0.2,
        "max_steps": 1500,
        "tolerance": 1e-8,
    }


class TestMorse(OfPositions):
    part = SPRINGS
    options: ClassVar[dict[str, Any]] = {
        "hidden": 8,
        "form": "morse",
        "gradient": "unrolled",
        "step": 0.05,
        "symmetric": True,
        "max_steps": 30,
    }


class TestDisplacements(OfPositions):
    part = DISPLACEMENTS
    options: ClassVar[dict[str, Any]] = {"hidden": 8}
