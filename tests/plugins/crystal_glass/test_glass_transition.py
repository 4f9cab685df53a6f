"""T_g: kinks that are there are found with the error they have, and none where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from crystal_glass.stages import Stage
from crystal_glass.transition import Kink, kink, ramp_of

from crystalcli.cli.main import run
from crystalcli.vocabulary.units import GPA

T = np.linspace(2000.0, 300.0, 40)


def curve(at: float = 900.0, glass: float = 2.6e-4, more: float = 1.5e-4) -> np.ndarray:
    return np.asarray(-4.1 + glass * (T - at) + more * np.maximum(T - at, 0.0))


def noise(rng: np.random.Generator, width: float, rho: float = 0.0) -> np.ndarray:
    out = rng.normal(size=len(T))
    for k in range(1, len(T)):
        out[k] = rho * out[k - 1] + np.sqrt(1 - rho**2) * out[k]
    return np.asarray(width * out * T / T.mean())  # fluctuations grow with the temperature


def test_lines_that_meet_are_found() -> None:
    found = kink(T, curve() + noise(np.random.default_rng(0), 1e-6))
    assert isinstance(found, Kink)
    assert found.kelvin == pytest.approx(900.0, abs=5.0)
    assert found.glass == pytest.approx(2.6e-4, rel=1e-2)
    assert found.liquid == pytest.approx(4.1e-4, rel=1e-2)
    assert found.level == pytest.approx(-4.1, abs=2e-3)
    assert found.error < 10.0
    assert kink(T[::-1], (curve() + noise(np.random.default_rng(0), 1e-6))[::-1]) == found


def by_trying_all(x: np.ndarray, y: np.ndarray) -> float:
    """The same place by a search of its own: two straight lines by polyfit on both sides, made to meet by a grid."""
    best, place = np.inf, np.nan
    for at in np.linspace(600.0, 1600.0, 401):
        a = np.stack([np.ones_like(x), np.minimum(x - at, 0.0), np.maximum(x - at, 0.0)], 1)
        w = np.diag(1 / x**2)
        left = float((((y - a @ np.linalg.solve(a.T @ w @ a, a.T @ w @ y)) / x) ** 2).sum())
        best, place = (left, at) if left < best else (best, place)
    return place


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_error_is_the_scatter(rho: float) -> None:
    rng = np.random.default_rng(1)
    found = []
    for k in range(120):
        y = curve() + noise(rng, 3e-3, rho)
        one = kink(T, y)
        assert isinstance(one, Kink), one
        found.append((one.kelvin, one.error))
        if k < 5:
            assert one.kelvin == pytest.approx(by_trying_all(T, y), abs=6.0)
    places, errors = np.array(found).T
    assert places.mean() == pytest.approx(900.0, abs=4 * places.std() / np.sqrt(120) + 5.0)
    assert places.std() == pytest.approx(errors.mean(), rel=0.35)
    assert 0.58 <= np.mean(np.abs(places - 900.0) < errors) <= 0.82  # 0.68 of a normal distribution


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_a_straight_line_has_no_kink(rho: float) -> None:
    rng = np.random.default_rng(2)
    said = [kink(T, -4.0 + 3e-4 * T + noise(rng, 3e-3, rho)) for _ in range(100)]
    assert sum(isinstance(s, Kink) for s in said) <= 4
    assert any("no better than one" in str(s) for s in said)
    assert kink(T, -4.0 + 0.0 * T) == "a straight line goes through all points"


def test_what_bends_all_along_has_no_kink() -> None:
    rng = np.random.default_rng(3)
    said = [kink(T, -4.0 + 2e-4 * T + 6e-8 * T**2 + noise(rng, 2e-3)) for _ in range(30)]
    assert sum(isinstance(s, Kink) for s in said) <= 2
    assert any("a parabola is better" in str(s) for s in said)
    assert kink(T, -curve() + noise(rng, 1e-3)) == "the slope of the liquid is the smaller one"


@pytest.mark.parametrize("at", [360.0, 420.0, 480.0])
def test_a_kink_near_an_end_of_the_ramp_is_told_nowhere_else(at: float) -> None:
    """With so few points beyond it no place of it is known; the nearest that is tried, 504 K, would be a wrong one."""
    for seed in range(5):
        said = kink(T, curve(at) + noise(np.random.default_rng(seed), 3e-4))
        assert str(said) == "it bends too near an end of the ramp, or beyond: looked for between 504 and 1796 K"
    assert isinstance(kink(T, curve(560.0) + noise(np.random.default_rng(0), 3e-4)), Kink)


def log(stages: list[Stage], atoms: int, energy: float, volume: np.ndarray | float) -> np.ndarray:
    """Rows every 20 fs, of which time, target, potential energy and volume count."""
    picoseconds = np.arange(0.0, sum(s.picoseconds for s in stages) + 1e-9, 0.02)
    target = np.interp(
        picoseconds,
        np.cumsum([0.0, *(s.picoseconds for s in stages)]),
        [stages[0].start, *(s.end for s in stages)],
    )
    rows = np.zeros((len(picoseconds), 10))
    rows[:, 1], rows[:, 2], rows[:, 4], rows[:, 9] = picoseconds, target, energy * atoms * target, volume
    return rows


def test_the_ramp_is_the_longest_stage_that_cools() -> None:
    stages = [
        Stage(3000, 3000, 100, 2.0),
        Stage(3000, 2500, 50, 2.0),
        Stage(2500, 300, 1000, 2.0),
        Stage(300, 300, 99, 2),
    ]
    rows = log(stages, 7, 2e-4, 140.0)
    found = ramp_of(rows, stages, 7)
    assert found is not None
    assert (len(found.kelvin), found.volume) == (33, None)
    assert found.enthalpy.tolist() == pytest.approx((2e-4 * found.kelvin).tolist())
    assert found.kelvin[0] == pytest.approx(2500 - 2.2 * 1000 / 50, abs=30)
    assert found.kelvin[-1] == pytest.approx(300 + 22, abs=30)
    assert ramp_of(rows, stages[:1], 7) is None
    assert ramp_of(log(stages[:2], 7, 2e-4, 140.0), stages[:2], 7) is None


def test_under_pressure_it_is_enthalpy() -> None:
    stages = [Stage(2000, 300, 1000, 2.0, "npt", 5.0)]
    rows = log(stages, 7, 2e-4, 0.0)
    rows[:, 9] = 100.0 + 0.01 * rows[:, 2]
    found = ramp_of(rows, stages, 7)
    assert found is not None
    assert found.volume is not None
    assert found.volume.tolist() == pytest.approx(((100.0 + 0.01 * found.kelvin) / 7).tolist())
    work = 5.0 * GPA * (100.0 + 0.01 * found.kelvin) / 7
    assert found.enthalpy.tolist() == pytest.approx((2e-4 * found.kelvin + work).tolist())


@pytest.mark.parametrize("said_by", ["the plan", "flags"])
def test_what_is_written_is_the_ramp(tmp_path: Path, said_by: str) -> None:
    """Rows of the log in thirteen parts: their means of target, E + PV and V; and a kink or a reason for each."""
    plan = tmp_path / "plan.toml"
    held, flags = 'sampler = "npt"\npressure = 1.0\n', ["--sampler", "npt", "--pressure", "1"]
    stage = "[[stage]]\nfrom = {}\nto = {}\nsteps = {}\n" + (held if said_by == "the plan" else "")
    plan.write_text(stage.format(900, 900, 40) + stage.format(900, 300, 400))
    words = ["Al", "--atoms", "16", "--potential", "emt", "--plan", str(plan), "--relax", "none", "--quiet"]
    words += flags if said_by == "flags" else []
    assert run(["glass", *words, "--references", "none", "-o", str(tmp_path / "run")]) == 0
    box = tmp_path / "run" / "glasses" / "Al16"
    log_file = np.genfromtxt(box / "thermo.csv", delimiter=",", names=True)
    cooling = log_file[log_file["time_ps"] > 0.08 + 1e-9]
    parts = np.array_split(np.arange(len(cooling)), 13)
    work = 1.0 * GPA * cooling["volume_A3"]
    table = np.genfromtxt(box / "ramp.csv", delimiter=",", names=True)
    for name, y in (
        ("temperature_K", cooling["target_K"]),
        ("enthalpy_eV_per_atom", (cooling["potential_eV"] + work) / 16),
        ("volume_A3_per_atom", cooling["volume_A3"] / 16),
    ):
        assert table[name].tolist() == pytest.approx([y[p].mean() for p in parts])
    facts = json.loads((box / "glass.json").read_text())
    assert facts["transition"].keys() == {"enthalpy", "volume"}
    for name, one in facts["transition"].items():
        column = {"enthalpy": "enthalpy_eV_per_atom", "volume": "volume_A3_per_atom"}[name]
        again = kink(table["temperature_K"], table[column])
        assert one == ({"none": again} if isinstance(again, str) else pytest.approx(vars(again)))
    assert facts["t_g"] == facts["transition"]["enthalpy"].get("kelvin")
    assert (box / "ramp.png").exists()
