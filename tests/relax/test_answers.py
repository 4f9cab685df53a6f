"""What a slow potential has said is kept until its shard is done: nothing is asked twice, and no bit is another."""

from __future__ import annotations

import contextlib
from pathlib import Path

import ase.build
import pytest
import torch

from crystalcli.contracts.dynamics import Evaluated, Potential
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.potential.potentials import named
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.systems import Systems
from crystalcli.relax import answers
from crystalcli.relax.answers import RememberingPotential
from crystalcli.relax.options import UNFINISHED, RelaxOptions
from crystalcli.relax.shards import Worker
from crystalcli.vocabulary.errors import Stopped


class Counting:
    """A potential that counts what it is asked."""

    def __init__(self, inner: Potential) -> None:
        self.inner, self.asked = inner, 0
        self.name, self.provides, self.device = inner.name, inner.provides, inner.device

    def evaluate(self, systems: Systems, *, stress: bool = False) -> Evaluated:
        self.asked += 1
        return self.inner.evaluate(systems, stress=stress)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes any time is slow."""
    monkeypatch.setattr(answers, "SLOW", 0.0)


def crystals() -> list[ase.Atoms]:
    made = [ase.build.bulk(m, "fcc", a=a, cubic=True) for m, a in (("Cu", 3.7), ("Al", 4.2), ("Ni", 3.4))]
    for k, atoms in enumerate(made):
        atoms.rattle(0.05 * (k + 1), seed=k)
    return made


def same(one: Evaluated, other: Evaluated) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in vars(one)]
    return all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("slow")
def test_an_answer_is_kept_for_its_question_only(tmp_path: Path) -> None:
    path, inner = tmp_path / "unfinished" / "a.answers", Counting(named("emt"))
    systems = Systems.of(crystals())
    moved = systems.moved(positions=systems.positions + torch.eye(12, 3, dtype=torch.float64) * 1e-9)
    kept = RememberingPotential(inner, path)
    found = [kept.evaluate(systems), kept.evaluate(systems, stress=True), kept.evaluate(moved)]
    kept.close(done=False)
    assert inner.asked == 3
    again = RememberingPotential(inner, path)
    assert same(again.evaluate(systems), found[0])
    assert same(again.evaluate(systems, stress=True), found[1])
    assert same(again.evaluate(moved), found[2])
    assert found[0].stress is None
    assert inner.asked == 3
    again.evaluate(systems.take(torch.tensor([1])))
    again.close(done=False)
    assert inner.asked == 4
    assert len(answers._read(path)[0]) == 4
    again.close(done=True)
    assert not path.exists()


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("spoilt", ["cut", "changed"])
def test_an_answer_that_is_not_whole_is_asked_for_again(tmp_path: Path, spoilt: str) -> None:
    path, inner = tmp_path / "a.answers", Counting(named("emt"))
    systems = Systems.of(crystals())
    kept = RememberingPotential(inner, path)
    found = [kept.evaluate(systems), kept.evaluate(systems, stress=True)]
    kept.close(done=False)
    data = bytearray(path.read_bytes())
    if spoilt == "cut":
        del data[-10:]
    else:
        data[-10] ^= 1
    path.write_bytes(data)
    again = RememberingPotential(inner, path)
    assert same(again.evaluate(systems), found[0])
    assert inner.asked == 2
    assert same(again.evaluate(systems, stress=True), found[1])
    assert inner.asked == 3
    again.close(done=False)
    assert len(answers._read(path)[0]) == 2


def test_what_is_fast_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 500 * answers.SLOW <= 10.0  # what a stop may cost in all
    monkeypatch.setattr(answers, "SLOW", 60.0)
    inner = Counting(named("emt"))
    kept = RememberingPotential(inner, tmp_path / "a.answers")
    kept.evaluate(Systems.of(crystals()))
    kept.evaluate(Systems.of(crystals()))
    assert inner.asked == 2
    assert not kept.path.exists()


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("relaxer", ["fire", "bfgs"])
@pytest.mark.parametrize("cell", ["none", "full"])
def test_a_relaxation_that_was_stopped_goes_on_where_it_was(tmp_path: Path, relaxer: str, cell: str) -> None:
    options = RelaxOptions(structures=("x",), potential="emt", relaxer=relaxer, cell=cell)
    request = Request(options, {"potential": Chosen("emt", {}), "relaxer": Chosen(relaxer, {})}, tmp_path)
    items = [Entry(f"s{k}", atoms, "x.xyz") for k, atoms in enumerate(crystals())]

    def worker() -> tuple[Worker, Counting]:
        made = Worker(request)
        made.potential = counting = Counting(made.potential)
        return made, counting

    whole, asked = worker()
    expected = [o.to_json() for o in whole.relax(items)]
    assert not list((tmp_path / UNFINISHED).iterdir())
    parts, found = 0, None
    while found is None:
        one, counted = worker()

        def pause(counted: Counting = counted) -> None:
            if counted.asked == 4:
                raise Stopped("enough")

        with contextlib.suppress(Stopped):
            found = [o.to_json() for o in one.relax(items, pause=pause)]
        parts += counted.asked
        assert parts <= asked.asked
    assert found == expected
    assert parts == asked.asked
    assert asked.asked > 8


@pytest.mark.usefixtures("slow")
def test_no_potential_hears_what_another_has_said(tmp_path: Path) -> None:
    items = [Entry("s0", crystals()[0], "x.xyz")]
    energies = {}
    for name in ("emt", "lj"):
        options = RelaxOptions(structures=("x",), potential=name, steps=0)
        with contextlib.suppress(Stopped):
            one = Worker(Request(options, {"potential": Chosen(name, {})}, tmp_path))
            with answers.remembering(one.potential, one.request, ["s0"]) as asked:
                energies[name] = float(asked.evaluate(Systems.of([items[0].atoms])).energy)
                raise Stopped("enough")
    assert len(list((tmp_path / UNFINISHED).iterdir())) == 2
    assert energies["emt"] != energies["lj"]
