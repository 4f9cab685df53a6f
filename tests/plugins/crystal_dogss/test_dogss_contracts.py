"""The parts of the package keep the contracts, and an untrained model moves nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from crystal_dogss import DISPLACEMENTS, DOGSS, POSITIONS, SPRINGS

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


class TestSprings(OfPositions):
    part = SPRINGS
    options: ClassVar[dict[str, Any]] = {"hidden": 8, "n_hidden": 1}


class TestUnrolled(OfPositions):
    part = SPRINGS
    options: ClassVar[dict[str, Any]] = {
        "hidden": 8,
        "form": "morse",
        "gradient": "unrolled",
        "symmetric": True,
        "max_steps": 30,
    }


class TestDisplacements(OfPositions):
    part = DISPLACEMENTS
    options: ClassVar[dict[str, Any]] = {"hidden": 8}
