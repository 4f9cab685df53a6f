"""Checks of potentials: a sound one passes all, in either precision; each that is broken in one way is caught."""

from __future__ import annotations

import itertools
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.constraints import FixAtoms
from ase.data import covalent_radii
from common.broken_potentials import BROKEN, NoStress, Pairs, Single

from crystalcli.nouns.systems import temperature
from crystalcli.potential_checks import asking, conservation, derivatives, diatomics, examples, plots, speed
from crystalcli.potential_checks.asking import Asking, Noise
from crystalcli.potential_checks.findings import CHECKS, CheckRequest, Finding, judged, wanted_checks, worst
from crystalcli.potential_checks.run import Report, _excuse_melting, _made, check
from crystalcli.potential_checks.view import shown
from crystalcli.vocabulary.errors import InputError, NothingUsable, UsageError

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
    asked = CheckRequest(checks=only or tuple(c for c in CHECKS if c != "speed"), elements=("Cu",), steps=200)
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
    report = check(Pairs(), {"cluster": cluster}, CheckRequest(elements=("Cu",), steps=50))
    missing = {f.check for f in report.findings if f.status == "not run"}
    assert missing == {"stress", "supercell", "cell"}
    assert not failed(report)


def test_jumps_are_found_where_they_are_and_as_large_as_they_are() -> None:
    from common.broken_potentials import CUTOFF, Jump, Kink

    by = {f.check: f for f in found(Jump(), "pair-smooth").findings}
    assert by["pair-smooth"].found["energy jump (eV)"] == pytest.approx(1e-4, rel=1e-3)
    assert by["pair-smooth"].more["energy_at"] == pytest.approx(CUTOFF, abs=1e-6)
    by = {f.check: f for f in found(Kink(), "pair-smooth").findings}
    assert by["pair-smooth"].more["force_at"] == pytest.approx(4.6, abs=1e-6)
    assert by["pair-smooth"].found["force jump (eV/Å)"] == pytest.approx(5e-4 * 0.64, rel=1e-3)  # of z


def test_a_steep_core_in_single_precision_is_no_jump() -> None:
    """300 eV where two atoms are nearest: what is rounding there is a thousand times that of a crystal."""

    class Steep(Single):
        def pair(self, r, d):
            return super().pair(r, d) + 4e11 * torch.exp(-r / 0.1)

    class Jumping(Steep):
        def pair(self, r, d):
            return super().pair(r, d) + 0.01 * (r < 2.2)

    quiet = Noise(1e-7, 1e-6)
    for kind, status in ((Steep, "passed"), (Jumping, "failed")):
        _, (finding,) = diatomics.checked(Asking(kind()), (29, 29), quiet, ["pair-smooth"])
        assert finding.status == status, finding
    assert finding.found["energy jump (eV)"] == pytest.approx(0.01, rel=0.1)
    assert finding.more["energy_at"] == pytest.approx(2.2, abs=1e-5)


def test_holes_are_told_with_their_edge() -> None:
    from common.broken_potentials import Hole, ShallowHole

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


def test_what_has_no_energy_somewhere() -> None:
    """One crystal without a number takes nothing from the pairs, and a pair's checks are told or not run."""
    from common.broken_potentials import Hole, NoNumber

    class Lost(Hole):
        def told(self, energy, forces, stress, systems):
            return torch.where(systems.atom_counts == 8, torch.nan, energy), forces, stress

    report = check(Lost(), {"lost": crystal() * (2, 1, 1), "found": crystal()}, CheckRequest(checks=("core",)))
    assert {f.status for f in report.findings if f.subject == "Cu-Cu"} == {"failed"}
    states = {f.check: (f.status, f.said) for f in found(NoNumber(), "core", "pair-smooth").findings}
    (core, said), (smooth, why) = states["core"], states["pair-smooth"]
    assert (core, smooth) == ("failed", "not run")
    assert said == why == "no finite energy at 1.49 Å"


def test_only_what_is_asked_for_is_computed() -> None:
    curve, both = Pairs(), Pairs()
    assert [f.check for f in diatomics.checked(Asking(curve), (29, 29), Noise(0.0, 0.0), ["core"])[1]] == ["core"]
    diatomics.checked(Asking(both), (29, 29), Noise(0.0, 0.0))
    assert curve.calls < both.calls


def test_forces_are_judged_by_the_worst_direction() -> None:
    """One component of one atom is off: of each direction as much is seen as it has of that component."""

    class OneOff(Pairs):
        def told(self, energy, forces, stress, _systems):
            return energy, forces + torch.eye(len(forces), 3, dtype=torch.float64) * torch.eye(1, 3)[0], stress

    atoms, seed = crystal(), 5
    finding = derivatives.forces(Asking(OneOff()), "c", atoms, Noise(0.0, 0.0), np.random.default_rng(seed))
    along = np.random.default_rng(seed).normal(size=(derivatives.DIRECTIONS, len(atoms), 3))
    shares = np.abs(along[:, 0, 0]) / np.sqrt((along**2).sum(axis=(1, 2)))
    assert finding.status == "failed"
    assert finding.found["force (eV/Å)"] == pytest.approx(shares.max(), rel=1e-3)
    assert shares.min() < 0.5 * shares.max()


def test_what_is_too_noisy_to_differentiate_is_not_run() -> None:
    loud = Noise(1.0, 0.0)
    rng = np.random.default_rng(0)
    for finding in (
        derivatives.forces(Asking(Pairs()), "c", crystal(), loud, rng),
        derivatives.stress(Asking(Pairs()), "c", crystal(), loud),
    ):
        assert (finding.status, finding.said) == ("not run", "the energy is too noisy to differentiate")


def test_elements_of_crystals_that_are_made() -> None:
    assert examples.few([79, 29]) == [29, 79]
    assert examples.few([1, 6, 8]) == [1, 6, 8]  # no others are known
    some = examples.few(range(1, 95))
    assert len(some) == examples.MOST
    assert all(examples.SMALLEST <= covalent_radii[z] <= examples.LARGEST for z in some)
    assert examples.few([1, 2, 7, 8]) == [1, 7, 8]  # none is dense


def test_crystals_are_made_in_the_valley_and_without_right_angles() -> None:
    """A hole inside of the valley is deeper, and is not where they are."""

    class Inner(Pairs):
        def pair(self, r, d):
            return super().pair(r, d) - 5.0 * torch.exp(-(((r - 2.25) / 0.05) ** 2))

    inner = Asking(Inner())
    atoms = examples.crystals(inner, [29])["Cu fcc"]
    nearest = np.sort(atoms.get_all_distances(mic=True), axis=1)[:, 1].min()
    assert nearest == pytest.approx(2.6, abs=0.1)
    atoms.set_cell(atoms.cell.array * 2.25 / nearest, scale_atoms=True)
    assert inner([atoms])[0].energy < -10.0
    for atoms in _made(Asking(Pairs()), [], [29, 79], None, 0).values():
        assert np.abs(atoms.cell.angles() - 90.0).min() > 0.01


def test_many_structures_are_asked_about_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Seen(Pairs):
        def evaluate(self, systems, *, stress=False):
            sizes.append(systems.n_atoms)
            return super().evaluate(systems, stress=stress)

    many = [crystal() * (k, 1, 1) for k in (1, 2, 1, 1, 1)]
    together = Asking(Seen())(many, stress=True)
    monkeypatch.setattr(asking, "MOST_ATOMS", 12)
    apart = Asking(Seen())(many, stress=True)
    assert sizes == [24, 12, 12]
    for one, other in zip(together, apart, strict=True):
        assert one.energy == other.energy
        np.testing.assert_array_equal(one.forces, other.forces)
        np.testing.assert_array_equal(one.stress, other.stress)


def test_a_slab_is_not_repeated_along_its_vacuum() -> None:
    slab = ase.build.fcc111("Cu", (3, 3, 1), vacuum=3.0)  # its shortest vector is that which it is not periodic along
    cells = []

    class Seen(Pairs):
        def evaluate(self, systems, *, stress=False):
            cells.append(systems.cell[0].numpy())
            return super().evaluate(systems, stress=stress)

    found = speed.measured(Asking(Seen()), "slab", slab, np.random.default_rng(0))
    assert found.atoms == 72
    np.testing.assert_array_equal(cells[0][2], slab.cell.array[2])
    report = check(
        Pairs(), {"slab": slab}, CheckRequest(checks=("supercell",))
    )  # two slabs, so near, would feel each other
    assert [f.status for f in report.findings] == ["passed"]


def test_a_time_is_that_of_a_call_and_an_atom(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(speed.time, "perf_counter", lambda: 0.064 * next(ticks))
    monkeypatch.setattr(speed.time, "process_time", lambda: 0.0)
    found = speed.measured(Asking(Pairs()), "c", crystal() * (4, 2, 2), np.random.default_rng(0))
    assert (found.atoms, found.calls) == (64, speed.CALLS)
    assert (found.wall, found.cpu) == (pytest.approx(1.0), 0.0)


def test_what_gets_wild_is_not_run() -> None:
    """Atoms moved by a twentieth of an Å heat a crystal that begins at a hundredth of a kelvin."""
    shaken = examples.shaken(crystal(), np.random.default_rng(0))
    finding = conservation.checked(Asking(Pairs()), "c", shaken, kelvin=0.01, steps=200, rng=np.random.default_rng(0))
    assert finding.status == "not run"
    assert "no crystal that this potential holds" in finding.said
    assert finding.more["hottest"] > conservation.WILD * 0.01


def test_held_atoms_and_fields() -> None:
    """Constraints hold nothing here; a potential is given the fields that it reads."""

    class Fielded(Pairs):
        fields = ("fixed",)

        def evaluate(self, systems, *, stress=False):
            assert len(systems.fields["fixed"]) == systems.n_atoms
            return super().evaluate(systems, stress=stress)

    held = crystal()
    held.set_constraint(FixAtoms([0, 1]))
    asked = CheckRequest(checks=("translation", "forces", "stress", "smooth", "drift"), steps=50)
    reports = [check(kind(), {"c": atoms}, asked) for kind in (Pairs, Fielded) for atoms in (crystal(), held)]
    assert [r.findings for r in reports] == [reports[0].findings] * 4


def test_dynamics_begin_at_the_temperature_and_rest_as_a_whole() -> None:
    alloy = crystal() * (2, 1, 1)
    systems = conservation._started(Asking(Pairs()).systems([alloy]), 250.0, np.random.default_rng(1))
    assert float(temperature(systems)) == pytest.approx(250.0)
    momentum = (systems.masses[:, None] * systems.velocities).sum(0)
    assert float(momentum.abs().max()) < 1e-10


def test_pairs_with_a_hole_are_drawn_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "MOST", 1)
    r = np.arange(0.8, 12.0, 0.02)
    curves = [diatomics.Curve(pair, r, np.exp(-r)) for pair in ((29, 29), (29, 79))]
    assert plots.draw([tmp_path / "p.svg"], curves, {"Au-Cu": 1.0}, title="t") == 1
    text = (tmp_path / "p.svg").read_text()
    assert "Au-Cu hole" in text
    assert "Cu-Cu" not in text


def test_what_never_repels_is_a_hole() -> None:
    r = np.arange(0.79, 12.0, 0.02)
    core = diatomics.core(diatomics.Curve((29, 29), r, -3.0 * np.exp(-r)), Noise(0.0, 0.0))
    assert core.status == "failed"
    assert "nothing holds atoms back" in core.said


def test_all_pairs_and_what_is_left_out() -> None:
    assert diatomics.pairs([79, 29]) == [(29, 29), (29, 79), (79, 79)]

    class Many(Pairs):
        elements = frozenset(range(1, 90))

    report = check(Many(), {"crystal": crystal()}, CheckRequest(checks=("core",)))
    assert [f.subject for f in report.findings] == ["Cu-Cu", "Au-Cu", "Au-Au"]
    assert "of 89 elements; --elements all tries all 4005 pairs" in report.notes[0]

    class Silent(Pairs):
        elements = frozenset()

    report = check(Silent(), {"crystal": crystal()}, CheckRequest(checks=("core",), elements=("all",)))
    assert len(report.findings) == 3
    assert report.notes == ["it does not say which elements it knows: pairs of those of the structures only"]


def test_structures_are_made_where_none_are_given() -> None:
    report = check(Pairs(), {}, CheckRequest(checks=("rotation", "speed")))
    assert [f.subject for f in report.findings] == ["CuAu rocksalt", "CuAu CsCl"]
    assert [s.subject for s in report.speeds] == ["CuAu rocksalt", "CuAu CsCl"]
    assert all(s.atoms >= 64 and s.wall > 0 and s.cpu > 0 for s in report.speeds)

    class Silent(Pairs):
        elements = frozenset()

    with pytest.raises(UsageError, match="does not say which elements it knows"):
        check(Silent(), {}, CheckRequest())
    with pytest.raises(UsageError, match="no element 'Xx'"):
        check(Pairs(), {}, CheckRequest(elements=("Xx",)))


def test_a_structure_that_cannot_be_evaluated_costs_itself_only() -> None:
    from crystalcli.engine.potential.potentials import named

    good, bad = ase.build.bulk("Cu", cubic=True), ase.build.bulk("Na", cubic=True)
    report = check(named("emt"), {"bad": bad, "good": good}, CheckRequest(checks=("rotation", "speed")))
    assert [(f.subject, f.status) for f in report.findings if f.check == "rotation"] == [
        ("bad", "not run"),
        ("good", "passed"),
    ]
    with pytest.raises(NothingUsable, match="emt does not know Na"):
        check(named("emt"), {"bad": bad}, CheckRequest(checks=("rotation",)))
    with pytest.raises(NothingUsable, match="emt does not know Na"):
        check(named("emt"), {"bad": bad}, CheckRequest(checks=("core",)))
    report = check(named("emt"), {"bad": bad, "good": good}, CheckRequest(checks=("core",), elements=("Cu",)))
    assert [(f.check, f.subject, f.status) for f in report.findings] == [
        ("noise", "bad", "not run"),
        ("core", "Cu-Cu", "passed"),
    ]

    class Small(Pairs):
        """Has room for a few atoms."""

        def evaluate(self, systems, *, stress=False):
            if max(systems.atom_counts) > 16:
                raise InputError("structure 0: too large")
            return super().evaluate(systems, stress=stress)

    report = check(Small(), {"crystal": crystal()}, CheckRequest(checks=("noise", "speed")))
    assert [(f.check, f.status, f.said) for f in report.findings] == [
        ("noise", "passed", ""),
        ("speed", "not run", "structure 0: too large"),
    ]


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
    asked = CheckRequest(checks=("drift",))
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
    assert wanted_checks("", "") == CHECKS
    assert wanted_checks("forces, stress", "") == ("forces", "stress")
    assert "drift" not in wanted_checks("", "drift,speed")
    with pytest.raises(UsageError, match="no check 'force'; did you mean 'forces'"):
        wanted_checks("force", "")
    with pytest.raises(UsageError, match="leave nothing"):
        wanted_checks("drift", "drift")


def test_the_worst_is_told() -> None:
    good = Finding("c", "a", "passed", {"x": 1.0}, {"x": 2.0})
    none = Finding("c", "b", "not run")
    bad, worse = (Finding("c", "d", "failed", {"x": v}, {"x": 2.0}) for v in (3.0, float("nan")))
    assert worst([good, none, bad, worse]) is worse
    assert worst([good, none]) is none
    assert worse.to_json()["found"] == {"x": None}


def test_many_that_say_the_same_are_one_line() -> None:
    def jumps(n: int) -> list[Finding]:
        return [
            Finding("pair-smooth", f"Cu-{k}", "failed", {"e": k * 1e-4}, {"e": 1e-7}, f"energy jumps by {k:.1e} eV")
            for k in range(1, n + 1)
        ]

    hole = Finding("core", "Al-Pt", "failed", said="falls from 0.83 Å on")
    lines = list(shown("p", Report([*jumps(5), hole])).lines)
    assert lines == [
        "failed: pair-smooth: 5 pairs (Cu-1, Cu-2, Cu-3, …); the worst, Cu-5: energy jumps by 5.0e+00 eV",
        "failed: core: Al-Pt: falls from 0.83 Å on",
        "0 of 6 checks passed, 6 failed, 0 not run",
    ]
    assert len(shown("p", Report(jumps(3))).lines) == 4
    other = [Finding("drift", f"s{k}", "not run", said=f"heats to {k} K") for k in range(4)]
    lines = list(shown("p", Report([*other, hole])).lines)
    assert lines[1] == "not run: drift: 4 structures (s0, s1, s2, …); the first, s0: heats to 0 K"
