"""What stages give as energies: in which unit, of what kind, and which can be none."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from common import some_campaign
from screen.test_campaign import REPLAY, do, rows

from crystalcli.cli.main import run as crystal
from crystalcli.screen.options import Energies, Replayed
from crystalcli.screen.plan import StagePlan
from crystalcli.screen.stage_results import Result, read_results
from crystalcli.screen.state import CampaignState
from crystalcli.vocabulary.errors import UsageError


def energies(path: Path, asked: str, *, formation: bool, **said: object) -> list[float | None]:
    """Energies of cells of four and of eight atoms in ``path`` that say of themselves ``said``."""
    words = " ".join(f'{k}="{" ".join(map(str, np.atleast_1d(v)))}"' for k, v in said.items())
    text = ""
    for n in (4, 8):
        atoms = "".join(f"Cu {k}.0 0.0 0.0\n" for k in range(n))
        text += f'{n}\nLattice="16 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 id="{n}" {words}\n{atoms}'
    path.write_text(text)
    found, failures = read_results([path], Energies(asked, formation))
    assert not failures
    return [found[str(n)].energy for n in (4, 8)]


@pytest.mark.parametrize(
    ("energy", "formation", "said", "times"),
    [
        ("e", False, {}, (1, 1)),
        ("energy", False, {"energy_unit": "meV"}, (1e-3, 1e-3)),
        ("energy", False, {"energy_unit": "eV/atom"}, (4, 8)),
        ("e:meV/atom", False, {}, (4e-3, 8e-3)),
        ("e", True, {}, (1, 1)),
        ("energy", True, {}, (1, 1)),
        ("e", True, {"e_unit": "meV/atom"}, (1e-3, 1e-3)),
        ("e:meV/atom", True, {}, (1e-3, 1e-3)),
        ("e/atom", True, {}, (1 / 4, 1 / 8)),
        ("e/atom:meV", True, {}, (1e-3 / 4, 1e-3 / 8)),
        ("e/atom", True, {"e_unit": "meV"}, (1e-3 / 4, 1e-3 / 8)),
    ],
)
def test_a_unit_that_is_said_counts(
    tmp_path: Path, energy: str, formation: bool, said: dict[str, str], times: tuple[float, float]
) -> None:
    key = "energy" if energy.startswith("energy") else "e"
    found = energies(tmp_path / "a.extxyz", energy, formation=formation, **{key: -0.3}, **said)
    assert found == pytest.approx([-0.3 * t for t in times])


@pytest.mark.parametrize(
    ("energy", "formation", "said", "why"),
    [
        ("e", False, {"e": np.array([1.0, 2.0, 3.0])}, "'e' is no number per structure"),
        ("e", True, {"e": -0.3, "e_unit": "meV"}, "'e' is a total in meV, and formation = true means eV/atom; say"),
        ("e", False, {"e": -0.3, "e_unit": "furlong"}, "'furlong', which is no unit of energy"),
        ("e:eV", True, {"e": -0.3}, "is a total in eV"),
        ("e/atom", False, {"e": -0.3}, "is per atom, and the stage needs a total"),
        ("e/atom", True, {"e": -0.3, "e_unit": "eV/atom"}, "'e/atom' makes no sense"),
    ],
)
def test_what_is_no_such_energy_is_refused(
    tmp_path: Path, energy: str, formation: bool, said: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        energies(tmp_path / "a.extxyz", energy, formation=formation, **said)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('energy = "e"', 'energy = "e:mV/atom"', "stage 'end': 'e' is in 'mV/atom', which is no unit of energy"),
        ('energy = "e"', 'energy = "e:eV"', "stage 'end': 'e:eV' is a total in eV"),
    ],
)
def test_a_plan_with_an_energy_that_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, why: str
) -> None:
    stages = REPLAY.format(path=tmp_path / "end.extxyz")
    assert old in stages
    name = stages.rpartition('name = "')[2].partition('"')[0]
    plan = some_campaign.write(tmp_path, stages=stages.replace(old, new), references="")
    assert crystal(["screen", "--campaign", str(plan)]) == 2
    assert why.replace("'end'", f"'{name}'") in " ".join(capsys.readouterr().err.split())


def test_what_no_compound_can_have_is_a_problem_and_no_hull(tmp_path: Path) -> None:
    """One calculation that went astray removes nobody; one without an energy is named, too."""
    structures = some_campaign.alloys(30)
    for k, atoms in enumerate(structures):
        atoms.info["e"] = {3: -50.0, 4: float("nan")}.get(k, 0.01 * k - 0.3)
    some_campaign.candidates(tmp_path / "end.extxyz", structures)
    stages = REPLAY.format(path=tmp_path / "end.extxyz")
    plan = some_campaign.write(tmp_path, 30, head='train = 12\nthreshold = "1000sigma"', stages=stages, references="")
    report = do(plan, tmp_path / "run")
    table = {r["id"]: r for r in rows(tmp_path / "run")}
    astray, lost = table["alloy 3"], table["alloy 4"]
    assert report["problems"] == 2
    assert "alloy 3" not in [*report["hull"], *report["recall"]["true_hull"]]
    for row, why in ((astray, "-50 eV/atom, which none can have"), (lost, "came back without 'e'")):
        assert (row["E_f [eV/atom]"], why in row["problems"]) == ("", True)


def test_final_energies_that_are_far_above_zero_are_said(tmp_path: Path) -> None:
    structures = some_campaign.alloys(30)
    for k, atoms in enumerate(structures):
        atoms.info["e"] = 90.0 + 0.01 * k  # kJ/mol, say
    some_campaign.candidates(tmp_path / "end.extxyz", structures)
    stages = REPLAY.format(path=tmp_path / "end.extxyz")
    plan = some_campaign.write(tmp_path, 30, head='train = 12\nthreshold = "1000sigma"', stages=stages, references="")
    said: list[str] = []
    do(plan, tmp_path / "run", said=said)
    assert "12 of 12 formation energies are above 10 eV/atom (alloy " in "".join(said)


def test_energies_far_below_zero_are_none_at_any_stage() -> None:
    """Totals counted from the elements as well as formation energies; what is high is only unstable."""
    state = CampaignState.__new__(CampaignState)
    stage = StagePlan("end", 1.0, "file", (), Replayed())
    state.plan = SimpleNamespace(  # type: ignore[assignment]
        stages=[stage], counts_energies=lambda _s: True, references=SimpleNamespace(energies={"Cu": -3.0})
    )
    state.pure, state.amounts = {}, {i: {"Cu": 2.0} for i in ("low", "fine", "high")}
    totals = {"low": -26.2, "fine": -25.8, "high": 100.0}
    state.results = [{i: Result(i, energy=e) for i, e in totals.items()}]
    assert state.final(totals) == pytest.approx({"fine": -9.9, "high": 53.0})
    assert state.problem(0, "low") == "energy: -10.1 eV/atom, which none can have"
    assert state.problem(0, "fine") == state.problem(0, "high") == ""
