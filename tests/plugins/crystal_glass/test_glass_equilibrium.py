"""Volumes by an equation of state: known curves come back, what is no curve is said, and a run finds its volume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from crystal_glass.equilibrium import Curve, Point, around, beyond, fitted, pressures_at
from scipy.integrate import quad

from crystalcli.cli.main import run
from crystalcli.vocabulary.units import GPA

WORDS = "--atoms 27 --potential emt --melt 1500 --melt-steps 20 --quench-steps 40 --hold-steps 20"
V0, BULK, PRIME = 20.3, 71.0, 5.2


def birch(v: np.ndarray | float) -> np.ndarray:
    """Pressure, GPa, as Birch wrote it: 3B/2 (x⁷ − x⁵)(1 + ¾(B' − 4)(x² − 1)), x = (V₀/V)^⅓."""
    x = (V0 / np.asarray(v)) ** (1 / 3)
    return np.asarray(1.5 * BULK * (x**7 - x**5) * (1 + 0.75 * (PRIME - 4) * (x**2 - 1)))


def points(volumes: list[float], pressures: np.ndarray, error: float = 0.0) -> list[Point]:
    return [Point(v, float(p), error, -4.0) for v, p in zip(volumes, pressures, strict=True)]


@pytest.mark.parametrize("volumes", [[18.0, 20.0, 22.5], [17.5, 18.4, 19.9, 21.0, 22.1], [20.2, 21.0, 21.5, 22.7]])
def test_a_known_curve_comes_back(volumes: list[float]) -> None:
    found = fitted(points(volumes, birch(np.array(volumes)), 0.01))
    assert isinstance(found, Curve)
    assert found.volume == pytest.approx(V0, rel=1e-7)
    assert found.bulk_modulus == pytest.approx(BULK, rel=1e-5)
    assert found.rest is None if len(volumes) == 3 else found.rest < 1e-9  # type: ignore[operator]
    work = quad(lambda v: float(birch(v)) * GPA, V0, 18.0)[0]  # −ΔE, and E is a polynomial in V^(−2/3)
    y = np.array([v ** (-2 / 3) for v in (17.0, 18.0, 19.0, V0, 22.0)])
    energies = np.array([-quad(lambda v: float(birch(v)) * GPA, V0, t)[0] for t in (17.0, 18.0, 19.0, V0, 22.0)])
    assert np.polyval(np.polyfit(y, energies, 3), 18.0 ** (-2 / 3)) == pytest.approx(-work, rel=1e-6)


def test_the_error_is_the_scatter_of_what_is_found() -> None:
    """500 curves with noise of 0.8 GPa: their volumes scatter by what each says of itself."""
    rng = np.random.default_rng(3)
    volumes = [17.5, 18.9, 20.3, 21.7, 23.1]
    said, found = [], []
    for _ in range(500):
        curve = fitted(points(volumes, birch(np.array(volumes)) + rng.normal(0.0, 0.8, 5), 0.8))
        assert isinstance(curve, Curve)
        said.append(curve.error)
        found.append(curve.volume)
    assert np.std(found) == pytest.approx(np.mean(said), rel=0.25)
    assert np.mean(found) == pytest.approx(V0, abs=3 * np.std(found) / np.sqrt(500) + 0.02)


def test_what_is_no_curve_is_said() -> None:
    volumes = [22.0, 23.0, 24.0]
    assert "no volume without pressure between 22.00 and 24.00" in str(
        fitted(points(volumes, birch(np.array(volumes))))
    )
    assert "2 of its runs" in str(fitted(points([19.0, 22.0], birch(np.array([19.0, 22.0])))))
    rising = fitted(points([19.0, 20.0, 21.0], np.array([-1.0, 0.2, 1.0])))
    assert "no volume without pressure" in str(rising)
    noisy = fitted(points([19.0, 20.0, 21.0], np.array([0.3, 0.1, -0.2]), 3.0))
    assert "has a standard error of" in str(noisy)


def test_more_volumes_until_both_signs_are_there_twice() -> None:
    def next_after(*pressures: float) -> float | None:
        return beyond(points([20.0 + k for k in range(len(pressures))], np.array(pressures)), 0.7)

    assert next_after(2.0, 1.0, -1.0, -1.5) is None
    assert next_after(2.0, -1.0, -1.5) == pytest.approx(19.3)
    assert next_after(3.0, 2.0, 1.0, -1.5) == pytest.approx(23.7)
    assert next_after(-3.0, -2.0, -1.0) == pytest.approx(19.3)
    assert next_after(3.0, 2.0, 1.0) == pytest.approx(22.7)
    assert next_after() is None


def test_holes_in_a_liquid_are_not_fitted() -> None:
    """Beyond its strength a liquid is pulled no harder: such points are seen, and left out."""
    volumes = [17.9, 19.5, 21.2, 23.0, 24.7, 26.4]
    pressures = np.array([*birch(np.array(volumes[:3])), -3.0, -2.9, -2.8])
    used = around(points(volumes, pressures))
    assert [p.volume for p in used] == volumes[:4]
    assert around(points([1.0, 2.0], np.array([1.0, 2.0]))) == points([1.0, 2.0], np.array([1.0, 2.0]))
    crossing = points([17.0, 18.0, 19.0, 20.0, 21.0], np.array([9.0, 5.0, 2.0, -1.0, -2.0]))
    assert around(crossing) == crossing


def test_a_box_takes_the_volume_that_its_runs_found(tmp_path: Path) -> None:
    """Two boxes of one composition have one equation; the box is V₀, and not --expand times it."""
    some = "--volume eos --eos-volumes 4 --eos-steps 60 --relax none --references none --replicas 2 --quiet"
    some += " --batch-size 1"  # one box is not looked at with the other
    assert run(["glass", "CuNi2", *WORDS.split(), *some.split(), "-o", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "run" / "equations-of-state").exists()
    boxes = [json.loads((tmp_path / f"run/glasses/Cu9Ni18-{k}/glass.json").read_text()) for k in (1, 2)]
    assert boxes[0]["equation_of_state"] == boxes[1]["equation_of_state"]
    found = boxes[0]["equation_of_state"]
    assert found["temperature"] == 1500.0
    for box in boxes:
        assert box["box_volume"] == pytest.approx(found["fit"]["volume"])
        assert box["volume"] == pytest.approx(found["fit"]["volume"])
        assert box["volume_source"].startswith("equation of state at 1500 K, of ")
    again = fitted([Point(**{k: v for k, v in p.items() if k != "used"}) for p in found["points"] if p["used"]])
    assert isinstance(again, Curve)
    assert again.volume == pytest.approx(found["fit"]["volume"], rel=1e-12)
    assert pressures_at(np.array([again.volume]), found["points"])[0] == pytest.approx(0.0, abs=1e-6)
    assert (tmp_path / "run/glasses/Cu9Ni18-2/volumes.png").exists()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["equations_of_state"]["CuNi2"] == found
    assert sum(p["pressure"] > 0 for p in found["points"]) >= 2


def test_volumes_are_held_whatever_moves_the_cell_later(tmp_path: Path) -> None:
    """A barostat would let every box go to where its pressure is the asked one, and the curve would be noise."""
    some = "--volume eos --eos-volumes 3 --eos-steps 20 --relax none --references none --no-draw-boxes --quiet"
    found = []
    for name, flags in (("held", ""), ("npt", "--sampler npt --pressure 2 --cell-damping 20")):
        words = ["glass", "Cu", *WORDS.split(), *some.split(), *flags.split(), "-o", str(tmp_path / name)]
        assert run(words) == 0
        facts = json.loads((tmp_path / name / "glasses/Cu27/glass.json").read_text())
        found.append(facts["equation_of_state"])
        assert (facts["volume"] == pytest.approx(facts["box_volume"], rel=1e-6)) == (name == "held")
    assert found[0] == found[1]


def test_without_an_equation_the_box_is_as_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Boxes that a guard stops give no points: 0.99 of the covalent radii are farther than atoms of a melt stay."""
    some = "--volume eos --eos-steps 20 --relax none --references none --closest 0.99 --retries 0"
    assert run(["glass", "Cu", *WORDS.split(), *some.split(), "-o", str(tmp_path / "run")]) in (3, 4)
    assert "Cu: no equation of state: 0 of its runs came to an end" in capsys.readouterr().err
    facts = json.loads((tmp_path / "run/glasses/Cu27/glass.json").read_text())
    assert facts["box_volume"] == pytest.approx(1.15 * 3.61**3 / 4)
    assert "no equation of state: 0 of its runs" in facts["volume_source"]
    assert run(["pack", "Cu", "--volume", "eos", "-o", str(tmp_path / "a.extxyz")]) == 2
    assert "crystal pack has none" in capsys.readouterr().err
