"""The architecture keeps the contract, with and without angles, in its three norms."""

from typing import Any, ClassVar

from crystal_threebody import THREE_BODY

from crystalcli.testing import ArchitectureContract


class TestThreeBody(ArchitectureContract):
    part = THREE_BODY
    options: ClassVar[dict[str, Any]] = {"width": 12, "edge_width": 6, "angle_channels": 3, "n_conv": 2}


class TestThirdOrder(ArchitectureContract):
    part = THREE_BODY
    options: ClassVar[dict[str, Any]] = {"width": 8, "edge_width": 4, "l_max": 3, "norm": "batch", "n_conv": 2}


class TestWithoutAngles(ArchitectureContract):
    part = THREE_BODY
    options: ClassVar[dict[str, Any]] = {"width": 8, "edge_width": 4, "angle_channels": 0, "norm": "none", "n_conv": 2}
