"""Checks of potentials: a sound one passes all, in either precision; each that is broken in one way is caught."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.data import covalent_radii
from mechanisms.broken_potentials import BROKEN, NoStress, Pairs, Single

from crystalcli.mechanisms.potential_checks import conservation, diatomics
from crystalcli.mechanisms.potential_checks.asking import Asking, Noise
from crystalcli.mechanisms.potential_checks.findings import Finding, judged, worst
from crystalcli.vocabulary.errors import NothingUsable, UsageError
from crystalcli.workflows.potential.check_names import CHECKS
from crystalcli.workflows.potential.checking import Asked, Report, _excuse_melting, check, wanted

ALLOWED_TOO = {
    "Anisotropic": {"mirror"},  # another axis is another potential
    "Placed": {"rotation", "mirror", "supercell"},
    "NotTheDerivative": {"drift"},
    "Swirling": {"rotation", "mirror"},
    "Ordered": {"supercell"},
    "Boxed": {"rotation", "supercell", "stress"},
    "NotExtensive": set(),
    "Noisy": {"repeat", "translation", "supercell", "mirror", "rotation", "permutation", "cell", "drift"},
    "Forgetful": {*CHECKS},
    "Jump": {"drift"},
    "Imaged": {*CHECKS} - {"core"},
    "SkewStress": {"rotation", "mirror", "cell"},
    "FarKink": {"smooth"},
    "NoNumber": {"pair-smooth"},
}
"""Beside what must fail, what may."""


def crystal() -> ase.Atoms:
    atoms = ase.build.bulk("Cu", "fcc", a=3.75, cubic=True)
    atoms.set_cell(atoms.cell.array @ np.array([[1, 0.02, 0], [0, 1, -0.03], [0.01, 0, 1]]), scale_atoms=True)
    atoms.numbers[1] = 79
    return atoms


def found(potential: Pairs, *only: str) -> Report:
    asked = Asked(checks=only or tuple(c for c in CHECKS if c != "speed"), elements=("Cu",), steps=200)
    return check(potential, {"crystal": crystal()}, asked)


def failed(report: Report) -> set[str]:
    return {f.check for f in report.findings if f.status == "failed"}


@pytest.mark.parametrize("kind", [Pairs, Single])
def test_a_sound_potential_passes_all(kind: type[Pairs]) -> None:
    report = found(kind())
    assert {f.check for f in report.findings} == set(CHECKS) - {"speed"}
    assert {f.status for f in report.findings} == {"passed"}, [f for f in report.findings if f.status != "passed"]
    assert report.to_json()["exit_code"] == 0


@pytest.mark.parametrize("kind", BROKEN, ids=lambda k: k.__name__)
def test_what_is_broken_is_caught(kind: type[Pairs]) -> None:
    report = found(kind())
    assert failed(report) >= BROKEN[kind]
    assert failed(report) <= BROKEN[kind] | ALLOWED_TOO.get(kind.__name__, set())
    assert report.to_json()["exit_code"] == 3
    assert all(f.said for f in report.findings if f.status == "failed")


def test_what_it_cannot_do_is_not_run() -> None:
    report = found(NoStress(), "stress", "rotation")
    by = {f.check: f for f in report.findings}
    assert by["stress"].status == "not run"
    assert "gives no stress" in by["stress"].said
    assert by["rotation"].status == "passed"
    assert report.to_json()["exit_code"] == 3
    cluster = ase.Atoms("Cu3", [[0, 0, 0], [2.5, 0, 0], [0, 2.4, 0.3]])
    report = check(Pairs(), {"cluster": cluster}, Asked(elements=("Cu",), steps=50))
    missing = {f.check for f in report.findings if f.status == "not run"}
    assert missing == {"stress", "supercell", "cell"}
    assert not failed(report)


def test_jumps_are_found_where_they_are_and_as_large_as_they_are() -> None:
    from mechanisms.broken_potentials import CUTOFF, Jump, Kink

    by = {f.check: f for f in found(Jump(), "pair-smooth").findings}
    assert by["pair-smooth"].found["energy jump (eV)"] == pytest.approx(1e-4, rel=1e-3)
    assert by["pair-smooth"].more["energy_at"] == pytest.approx(CUTOFF, abs=1e-6)
    by = {f.check: f for f in found(Kink(), "pair-smooth").findings}
    assert by["pair-smooth"].more["force_at"] == pytest.approx(4.6, abs=1e-6)
    assert by["pair-smooth"].found["force jump (eV/Å)"] == pytest.approx(5e-4 * 0.64, rel=1e-3)  # of z


def test_holes_are_told_with_their_edge() -> None:
    from mechanisms.broken_potentials import Hole, ShallowHole

    for kind, low, high in ((Hole, 0.7, 1.3), (ShallowHole, 1.25, 1.45)):
        r = torch.arange(0.792, 4.0, 0.001, dtype=torch.float64)
        energy = kind().pair(r, r[:, None].expand(-1, 3)).numpy()
        tops = np.flatnonzero((energy[1:-1] > energy[:-2]) & (energy[1:-1] > energy[2:])) + 1
        curve, (core, _) = diatomics.checked(Asking(kind()), (29, 29), Noise(0.0, 0.0))
        assert curve is not None
        assert low < core.more["edge"] < high
        assert core.more["edge"] == pytest.approx(float(r[tops[-1]]), abs=diatomics.STEP)
        assert core.more["height"] == pytest.approx(energy[tops[-1]] - energy[tops[-1] :].min(), rel=1e-2)


def test_bonds_and_depths_are_those_of_the_curve() -> None:
    r = torch.arange(2.0, 4.0, 0.001, dtype=torch.float64)
    energy = Pairs().pair(r, r[:, None])
    (core,) = found(Pairs(), "core").findings
    assert core.subject == "Cu-Cu"
    assert core.more["bond"] == pytest.approx(float(r[energy.argmin()]), abs=diatomics.STEP)
    assert core.more["depth"] == pytest.approx(-float(energy.min()), rel=1e-3)


@pytest.mark.parametrize(
    ("z", "bond", "deep", "stiff"),
    [(7, 1.098, 9.9, 2.7), (24, 1.68, 1.5, 1.8), (23, 1.77, 2.8, 1.8), (18, 3.76, 0.012, 1.5)],
)
def test_bonds_of_nature_are_no_holes(z: int, bond: float, deep: float, stiff: float) -> None:
    """Nitrogen, chromium, vanadium, argon, as Morse curves."""
    covalent = 2 * covalent_radii[z]
    r = np.arange(0.3 * covalent, 12.0, 0.02)
    x = np.exp(-stiff * (r - bond))
    energy = deep * (x * x - 2 * x)
    curve = diatomics.Curve((z, z), r, energy - energy[-1])
    core = diatomics.core(curve, Noise(0.0, 0.0))
    assert core.status == "passed", core
    assert core.more["bond"] == pytest.approx(bond, abs=0.02) or deep < 0.02
    dip = 60.0 * deep * np.exp(-(((r - 0.45 * covalent) / 0.05) ** 2)) * (x * x)[r > 0.45 * covalent][0] / 10
    assert diatomics.core(diatomics.Curve((z, z), r, energy - dip), Noise(0.0, 0.0)).status == "failed"


def test_what_never_repels_is_a_hole() -> None:
    r = np.arange(0.79, 12.0, 0.02)
    core = diatomics.core(diatomics.Curve((29, 29), r, -3.0 * np.exp(-r)), Noise(0.0, 0.0))
    assert core.status == "failed"
    assert "nothing holds atoms back" in core.said


def test_all_pairs_and_what_is_left_out() -> None:
    assert diatomics.pairs([79, 29]) == [(29, 29), (29, 79), (79, 79)]

    class Many(Pairs):
        elements = frozenset(range(1, 90))

    report = check(Many(), {"crystal": crystal()}, Asked(checks=("core",)))
    assert [f.subject for f in report.findings] == ["Cu-Cu", "Cu-Au", "Au-Au"]
    assert "of 89 elements; --elements all tries all 4005 pairs" in report.notes[0]


def test_structures_are_made_where_none_are_given() -> None:
    report = check(Pairs(), {}, Asked(checks=("rotation", "speed")))
    assert [f.subject for f in report.findings] == ["CuAu rocksalt", "CuAu CsCl"]
    assert [s.subject for s in report.speeds] == ["CuAu rocksalt", "CuAu CsCl"]
    assert all(s.atoms >= 64 and s.wall > 0 and s.cpu > 0 for s in report.speeds)

    class Silent(Pairs):
        elements = frozenset()

    with pytest.raises(UsageError, match="does not say which elements it knows"):
        check(Silent(), {}, Asked())
    with pytest.raises(UsageError, match="no element 'Xx'"):
        check(Pairs(), {}, Asked(elements=("Xx",)))


def test_a_structure_that_cannot_be_evaluated_costs_itself_only() -> None:
    from crystalcli.mechanisms.forces.potentials import named

    good, bad = ase.build.bulk("Cu", cubic=True), ase.build.bulk("Na", cubic=True)
    report = check(named("emt"), {"bad": bad, "good": good}, Asked(checks=("rotation", "speed")))
    assert [(f.subject, f.status) for f in report.findings if f.check == "rotation"] == [
        ("bad", "not run"),
        ("good", "passed"),
    ]
    with pytest.raises(NothingUsable, match="emt does not know Na"):
        check(named("emt"), {"bad": bad}, Asked(checks=("rotation",)))


def test_one_check_left_out_changes_no_other() -> None:
    alone, together = found(Pairs(), "forces"), found(Pairs(), "rotation", "forces", "stress")
    assert alone.findings[0] == next(f for f in together.findings if f.check == "forces")


@pytest.mark.parametrize(("power", "status"), [(2, "passed"), (0, "failed")])
def test_drift_of_long_steps_is_looked_at_again(monkeypatch: pytest.MonkeyPatch, power: int, status: str) -> None:
    def moving(_asking, systems, dt, steps, _wild):
        drift = 5e-3 * systems.n_atoms * (dt / conservation.LONGEST) ** power  # eV/ps
        return drift * 1e-3 * dt * np.arange(steps), 300.0

    monkeypatch.setattr(conservation, "_moving", moving)
    (drift,) = found(Pairs(), "drift").findings
    assert drift.status == status
    assert (drift.more["dt"], drift.more["steps"]) == (conservation.LONGEST / 4, 4 * 200)


def test_crystals_made_here_that_fly_apart_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(_asking, name, _atoms, **_more):
        hot = {"hottest": 9000.0} if "CsCl" in name else {}
        return Finding("drift", name, "not run" if hot else "passed", said="heats", more=hot)

    monkeypatch.setattr(conservation, "checked", checked)
    asked = Asked(checks=("drift",))
    assert [f.subject for f in check(Pairs(), {}, asked).findings] == ["CuAu rocksalt"]
    given = check(Pairs(), {"CuAu CsCl": crystal()}, asked)  # what somebody named is his
    assert [f.status for f in given.findings] == ["not run"]
    wild = Finding("drift", "a", "not run", said="heats", more={"hottest": 9000.0})
    calm, rigid = Finding("drift", "b", "passed"), Finding("drift", "c", "not run")
    report = Report([wild, calm, rigid])
    _excuse_melting(report)
    assert report.findings == [calm, rigid]
    assert report.notes == ["drift: a, made here, heats"]
    alone = Report([wild])
    _excuse_melting(alone)
    assert alone.findings == [wild]


def test_a_number_that_is_none_is_not_passed() -> None:
    assert judged("c", "s", {"x": float("nan")}, {"x": 1.0}).status == "failed"


def test_names_of_checks() -> None:
    assert wanted("", "") == CHECKS
    assert wanted("forces, stress", "") == ("forces", "stress")
    assert "drift" not in wanted("", "drift,speed")
    with pytest.raises(UsageError, match="no check 'force'; did you mean 'forces'"):
        wanted("force", "")
    with pytest.raises(UsageError, match="leave nothing"):
        wanted("drift", "drift")


def test_the_worst_is_told() -> None:
    good = Finding("c", "a", "passed", {"x": 1.0}, {"x": 2.0})
    none = Finding("c", "b", "not run")
    bad, worse = (Finding("c", "d", "failed", {"x": v}, {"x": 2.0}) for v in (3.0, float("nan")))
    assert worst([good, none, bad, worse]) is worse
    assert worst([good, none]) is none
    assert worse.to_json()["found"] == {"x": None}
