"""The built-in samplers keep the contract."""

import crystal_samplers

from crystalcli.testing import SamplerContract

PARTS = {p.name: p for p in crystal_samplers.crystal_parts()}


class Turned:
    """Thermostats and barostats run backwards when their rates change sign."""

    reversible = True

    def turned(self, state):
        return {k: -v if k.endswith("rate") else v for k, v in state.items()}


class TestNVE(Turned, SamplerContract):
    part = PARTS["nve"]


class TestNVT(Turned, SamplerContract):
    part = PARTS["nvt"]
    options = {"damping": 40.0}


class TestOneThermostat(Turned, SamplerContract):
    part = PARTS["nvt"]
    options = {"damping": 40.0, "chain": 1}


class TestLangevin(SamplerContract):
    part = PARTS["langevin"]


class TestNPT(Turned, SamplerContract):
    part = PARTS["npt"]
    options = {"damping": 40.0, "cell_damping": 200.0}
    drift = 0.02


class TestNPTFull(Turned, SamplerContract):
    part = PARTS["npt"]
    options = {"mode": "full", "damping": 40.0, "cell_damping": 200.0, "pressure": 1.0}
    drift = 0.02


class TestNPTAxes(Turned, SamplerContract):
    part = PARTS["npt"]
    options = {"mode": "axes", "damping": 40.0, "cell_damping": 200.0}
    drift = 0.02
