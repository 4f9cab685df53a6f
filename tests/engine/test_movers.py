"""Relaxers and samplers of plugins that do not keep the contract: the plugin is named, not the program."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.build
import ase.io
import pytest
import torch
from in_process import crystal

from crystalcli.contracts import options as opt
from crystalcli.contracts.dynamics import Evaluated
from crystalcli.contracts.noise import StructureNoise
from crystalcli.engine.registry.movers import AskedRelaxer, AskedSampler
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.nouns.systems import Systems
from crystalcli.vocabulary.errors import Exit, PluginFault

PLUGIN = """
from dataclasses import dataclass
from crystalcli.contracts.hookspecs import hookimpl
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Relaxer, Sampler


@dataclass(frozen=True)
class Options:
    wrong: str = option("", "what is given in place of what is due")


class Mover:
    def __init__(self, wrong):
        self.wrong = wrong
        if wrong != "silent":
            self.needs_stress = False

    def conserved(self, systems, evaluated, state):
        return 1.0 if self.wrong == "conserved" else evaluated.energy


class Down(Mover):
    def init(self, x, index, n):
        return index

    def step(self, state, x, energy, forces, active):
        if self.wrong == "raise":
            raise RuntimeError("boo")
        return {"bare": x, "short": (x[:-1], state), "single": (x.float(), state)}.get(self.wrong, (x, state))


class Along(Mover):
    def init(self, systems, temperature, generator):
        return {"list": [], "numbers": {"a": 1.0}}.get(self.wrong, {"a": temperature})

    def step(self, systems, evaluated, state, force, *, dt, temperature, generator):
        moved = systems.moved(positions=systems.positions + 0.1)
        return {
            "bare": moved,
            "tensor": (moved.positions, evaluated, state),
            "short": (moved.moved(velocities=moved.velocities[:, :2]), evaluated, state),
            "single": (moved.moved(positions=moved.positions.float()), evaluated, state),
            "energy": (moved, evaluated.energy, state),
            "state": (moved, evaluated, [1]),
        }.get(self.wrong, (moved, evaluated, state))


class Deaf(Along):
    def step(self, systems, evaluated, state, force):
        return systems, evaluated, state


class Hasty(Down):
    def init(self, x):
        return x


def sampler(options):
    if options.wrong == "deaf":
        return Deaf("")
    return object() if options.wrong == "object" else Along(options.wrong)


def relaxer(options):
    return (Hasty if options.wrong == "hasty" else Down)(options.wrong)


@hookimpl
def crystal_parts():
    return [
        Relaxer(name="down", summary="x", options=Options, build=relaxer),
        Sampler(name="along", summary="x", options=Options, build=sampler),
    ]
"""


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "movers.py").write_text(PLUGIN)
    monkeypatch.setenv("CRYSTAL_PLUGINS", str(tmp_path / "movers.py"))
    registry.cache_clear()
    yield
    registry.cache_clear()


def built(family: str, name: str, wrong: str) -> Any:
    part: Any = registry().get(family, name)
    kind: Any = AskedRelaxer if family == "relaxer" else AskedSampler
    return kind(part, opt.make(part.options, {"wrong": wrong}, owner=name))


def relaxed(wrong: str) -> None:
    x, one = torch.zeros(2, 3, dtype=torch.float64), torch.ones(1, dtype=torch.bool)
    index = torch.zeros(2, dtype=torch.int64)
    relaxer = built("relaxer", "down", wrong)
    relaxer.step(relaxer.init(x, index, 1), x, x[:1, 0], x, one)


def sampled(wrong: str) -> None:
    systems = Systems.of([ase.build.bulk("Cu")])
    kelvin = torch.full((1,), 300.0, dtype=torch.float64)
    found = Evaluated(kelvin, torch.zeros_like(systems.positions))
    noise = StructureNoise(0, ["a"], [1], device=torch.device("cpu")).at(0)
    part = built("sampler", "along", wrong)
    state = part.init(systems, kelvin, noise)
    point = part.step(systems, found, state, lambda _: found, dt=1.0, temperature=kelvin, generator=noise)
    part.conserved(*point)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("bare", r"gives a Tensor for a step, not \(x, state\)"),
        ("hasty", r"builds a Hasty whose init\(x\) cannot be called with 3 arguments"),
        ("short", r"gives x of shape \(1, 3\) float64, not \(2, 3\) float64"),
        ("single", r"gives x of shape \(2, 3\) float32, not"),
    ],
)
def test_a_relaxer_is_named(wrong: str, said: str) -> None:
    relaxed("")
    with pytest.raises(PluginFault, match=rf"relaxer 'down' of plugin .*movers\.py {said}"):
        relaxed(wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("object", r"builds a object without a method init\(\)"),
        ("deaf", r"builds a Deaf whose step\(.*\) cannot be called with 4 arguments and dt, temperature, generator"),
        ("silent", "builds a Along that does not say needs_stress, True or False"),
        ("list", "gives a list for its state, not a dict of tensors"),
        ("numbers", "gives a float for 'a' of its state, not a tensor"),
        ("bare", r"gives a Systems for a step, not \(systems, evaluated, state\)"),
        ("tensor", "gives a Tensor for systems, not Systems"),
        ("short", r"gives velocities of shape \(1, 2\) float64, not \(1, 3\) float64"),
        ("single", r"gives positions of shape \(1, 3\) float32, not \(1, 3\) float64"),
        ("energy", "gives a Tensor for evaluated, not Evaluated"),
        ("state", "gives a list for its state, not a dict of tensors"),
        ("conserved", "gives a float for what is conserved, not a tensor"),
    ],
)
def test_a_sampler_is_named(wrong: str, said: str) -> None:
    sampled("")
    with pytest.raises(PluginFault, match=rf"sampler 'along' of plugin .*movers\.py {said}"):
        sampled(wrong)


@pytest.mark.parametrize(("wrong", "said"), [("short", "gives x of shape"), ("raise", "RuntimeError: boo")])
@pytest.mark.parametrize("jobs", [1, 2])
def test_in_other_processes_too(
    wrong: str, said: str, jobs: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command ends as it does in one process: no structure is blamed, and no memory."""
    copper = ase.build.bulk("Cu", cubic=True)
    copper.rattle(0.1, seed=0)
    ase.io.write(tmp_path / "cu.extxyz", copper)
    words = ["relax", "cu.extxyz", "--potential", "emt", "--relaxer", "down", "--wrong", wrong]
    done = crystal([*words, "--jobs", str(jobs), "-o", "run"], tmp_path)
    assert done.returncode == Exit.BUG
    assert said in done.stderr
    assert "movers.py" in done.stderr
    assert "Traceback" not in capfd.readouterr().err  # of the processes


@pytest.mark.parametrize("wrong", ["single", "conserved"])
def test_md_ends_with_a_line(wrong: str, tmp_path: Path) -> None:
    ase.io.write(tmp_path / "cu.extxyz", ase.build.bulk("Cu", cubic=True))
    words = ["md", "cu.extxyz", "--potential", "emt", "--sampler", "along", "--wrong", wrong, "--temperature", "300"]
    done = crystal([*words, "--steps", "2", "-o", "run"], tmp_path)
    assert done.returncode == Exit.BUG
    assert "sampler 'along' of plugin" in done.stderr
