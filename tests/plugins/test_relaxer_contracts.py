"""The built-in relaxers keep the contract."""

from crystal_relaxers import crystal_parts

from crystalcli.testing import RelaxerContract

PARTS = {p.name: p for p in crystal_parts()}


class TestFire(RelaxerContract):
    part = PARTS["fire"]


class TestBfgs(RelaxerContract):
    part = PARTS["bfgs"]


class TestLbfgs(RelaxerContract):
    part = PARTS["lbfgs"]
