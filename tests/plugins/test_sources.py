"""The source ``bulk``, and inputs that are sources, wherever files are read."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import ase.build
import numpy as np
import pytest
from crystal_sources import BULK

from crystalcli.cli.main import run as crystal
from crystalcli.contracts.options import option
from crystalcli.contracts.records import Source
from crystalcli.contracts.validation import part_problems
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.read.input_digest import digest
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure, plan, read_file
from crystalcli.engine.read.sources import request
from crystalcli.engine.registry.plugin_check import check
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run.places import Place
from crystalcli.graphs.build import build
from crystalcli.graphs.plan import BuildPlan
from crystalcli.nouns.structures.entry import Entry
from crystalcli.testing import SourceContract
from crystalcli.vocabulary.errors import InputError, UsageError


class TestBulk(SourceContract):
    part = BULK


class TestStrainedCompounds(SourceContract):
    part = BULK
    options = {"formula": "NaCl,MgO", "count": 3, "strain": 0.04, "rattle": 0.1, "cubic": True}


def entries(text: str) -> list[Entry]:
    (path,) = expand([text])
    found = list(read_file(path))
    assert all(isinstance(e, Entry) for e in found), found
    return found  # type: ignore[return-value]


def test_crystals_are_those_of_ase() -> None:
    (copper,) = entries("source:bulk")
    assert copper.id == "Cu-0"
    np.testing.assert_allclose(copper.atoms.cell.array, ase.build.bulk("Cu").cell.array)
    salts = entries("source:bulk:formula=NaCl,KCl,lattice=rocksalt,a=5.6,cubic=true,repeat=2,count=2")
    assert [e.id for e in salts] == ["NaCl-0", "NaCl-1", "KCl-0", "KCl-1"]
    assert all(len(e.atoms) == 64 for e in salts)
    expected = ase.build.bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    np.testing.assert_allclose(salts[0].atoms.positions, expected.positions, atol=1e-12)
    assert salts[0].kind == "source bulk"


def test_strain_is_symmetric_and_small_and_atoms_follow() -> None:
    found = entries("source:bulk:formula=Cu,count=20,strain=0.05,seed=4")
    perfect = ase.build.bulk("Cu").cell.array
    strains = np.array([np.linalg.solve(perfect, e.atoms.cell.array) - np.eye(3) for e in found])
    assert np.abs(strains).max() <= 0.05
    assert np.abs(strains).max() > 0.03
    np.testing.assert_allclose(strains, strains.transpose(0, 2, 1), atol=1e-12)
    rattled = entries("source:bulk:formula=Cu,count=30,rattle=0.1,repeat=2,seed=4")
    still = ase.build.bulk("Cu").repeat(2).positions
    assert np.std([e.atoms.positions - still for e in rattled]) == pytest.approx(0.1, rel=0.1)


def test_more_crystals_change_none() -> None:
    few = entries("source:bulk:formula=Cu,count=2,rattle=0.1,seed=9")
    many = entries("source:bulk:formula=Cu,Ag,count=5,rattle=0.1,seed=9")
    assert np.array_equal(few[1].atoms.positions, many[1].atoms.positions)
    other = entries("source:bulk:formula=Cu,count=2,rattle=0.1,seed=10")
    assert not np.array_equal(few[1].atoms.positions, other[1].atoms.positions)


def test_what_cannot_be_meant_is_refused_before_anything_runs() -> None:
    for text, why in (
        ("source:bulq", "source 'bulq'|no source"),
        ("source:bulk:formul=Cu", "has no option 'formul'"),
        ("source:bulk:count=two", "option count of source bulk must be a whole number, not 'two'"),
        ("source:bulk:count=0", "outside 1"),
        ("source:bulk:cubic=maybe", "true or false"),
        ("source:bulk:lattice=cubic", "cannot be 'cubic'"),
        ("source:bulk:seed=-1", "0 or more"),
        ("source:bulk:count=1,count=2", "given twice"),
        ("source:bulk:seed=1,seed=2", "seed of source bulk is given twice"),
        ("source:bulk:seed=0,seed=0", "seed of source bulk is given twice"),
        ("source:", "is not source:NAME"),
    ):
        with pytest.raises(UsageError, match=why):
            expand([text])


def test_a_formula_that_ase_cannot_build_is_a_failure_with_its_reason() -> None:
    for formula, why in (("Xx", "is no formula"), ("Ga", "give lattice= and a=")):
        (path,) = expand([f"source:bulk:formula={formula}"])
        (failure,) = read_file(path)
        assert isinstance(failure, Failure)
        assert why in failure.reason


def test_equal_words_are_one_input_and_files_of_that_name_are_files(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(expand(["source:bulk:count=2,seed=3", "source:bulk:seed=3,count=2", "source:bulk:seed=3"])) == 2
    Path("list.txt").write_text("source:bulk:formula=Ag\n# no\n")
    assert [str(p).split(",lattice")[0] for p in expand(["list.txt"])] == ["source:bulk:formula=Ag"]
    Path("source:bulk").write_text("a file")
    assert expand(["source:bulk"]) == [Path("source:bulk")]


def test_two_sources_have_names_apart_and_a_table_beside_says_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("id_prop.csv").write_text("Cu-0,1.5\n")
    made = plan(expand(["source:bulk", "source:bulk:formula=Ag"]))
    assert len({i.name for i in made.items}) == 2
    assert plan(expand(["source:bulk"])).items[0].name == "bulk"
    assert not entries("source:bulk")[0].labels


def test_the_digest_is_of_words_and_plugin(tmp_path, monkeypatch) -> None:
    one, other = expand(["source:bulk", "source:bulk:seed=1"])
    assert digest(one) != digest(other)
    assert len(digest(one)) == 64
    origin = registry().origin("source", "bulk")
    monkeypatch.setattr(registry(), "origin", lambda *_: replace(origin, version="99"))
    assert digest(one) != digest(other)
    newer = digest(one)
    monkeypatch.undo()
    assert digest(one) != newer
    assert digest(tmp_path) == "not a file"
    assert digest(tmp_path / "none") == "unreadable"


def test_graphs_relaxations_and_dynamics_read_them(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "source:bulk:formula=Cu,Ag,count=3,strain=0.02,rattle=0.05,repeat=2,seed=5"
    made = BuildPlan((words,), tmp_path / "a.h5", "cgcnn", targets=("none",), place=Place(1))
    assert build(made).n_structures == 6
    assert build(made).up_to_date
    again = build(replace(made, output=tmp_path / "b.h5", place=Place(0)))
    assert (tmp_path / "a.h5").read_bytes() == again.output.read_bytes()
    assert GraphCache(again.output).sources[4].endswith("seed=5:4")
    with pytest.raises(UsageError, match="from other inputs"):
        build(replace(made, inputs=(words.replace("seed=5", "seed=6"),)))
    command = ["relax", words, "--potential", "emt", "-o", "relaxed", "--fmax", "0.05", "--quiet"]
    assert crystal(command) == 0
    before = Path("relaxed/relaxed.extxyz").read_bytes()
    assert crystal(command) == 0
    assert Path("relaxed/relaxed.extxyz").read_bytes() == before
    assert crystal([*command, "--overwrite"]) == 0
    assert Path("relaxed/relaxed.extxyz").read_bytes() == before
    assert crystal(["md", words, "--potential", "emt", "--steps", "3", "--temperature", "50", "-o", "md", "-q"]) == 0
    assert len(list(Path("md").rglob("traj*"))) == 6


def test_plugins_are_listed_shown_and_checked() -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        assert crystal(["plugins", "list", "--family", "source", "--json"]) == 0
    assert [p["name"] for p in json.loads(out.getvalue())["parts"]] == ["bulk"]
    findings = list(check(BULK, registry(), {}))
    assert [f.status for f in findings] == ["ok", "ok", "ok"], findings


@dataclass(frozen=True)
class Options:
    count: int = option(3, "structures", min=1)


def source(fault: str) -> type[SourceContract]:
    """A sound source, with a switch for each fault."""
    kept: list[float] = []

    def generate(options: Options, seed: int) -> Iterator[Entry | InputError]:
        rng = np.random.default_rng(seed)
        total = 0.0
        for k in range(options.count):
            draw = np.random.random() if fault == "global numbers" else rng.random()  # noqa: NPY002
            total += draw
            if fault == "remembers":
                kept.append(draw)
                draw = sum(kept)
            atoms = ase.build.bulk("Cu", a=3.5 + 0.1 * draw)
            if fault == "overlap":
                atoms = ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 1e-4]])
            labels = {"q": np.zeros(2)} if fault == "label" else {}
            item = Entry(":0" if fault == "names" else f":{k}", atoms, "", labels=labels)
            yield "Cu" if fault == "words" else item  # type: ignore[misc]

    class Broken(SourceContract):
        part = Source(name="broken", summary="s", options=Options, generate=generate)

    return Broken


FAULTS = {
    "global numbers": "test_leaves_random_numbers_alone",
    "remembers": "test_the_seed_decides",
    "overlap": "test_gives_sound_structures",
    "names": "test_gives_sound_structures",
    "words": "test_gives_sound_structures",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_contract_fails_what_breaks_it(fault: str) -> None:
    with pytest.raises((AssertionError, InputError)):
        getattr(source(fault)(), FAULTS[fault])()
    getattr(source("")(), FAULTS[fault])()


def test_records_of_sources() -> None:
    @dataclass(frozen=True)
    class Seeded:
        seed: int = option(0, "mine")

    @dataclass(frozen=True)
    class Running:
        command: str = option("", "run it", runs=True)

    assert part_problems(BULK) == []
    assert "seed is every source's" in part_problems(replace(BULK, options=Seeded))[0]
    assert "no input may run anything" in part_problems(replace(BULK, options=Running))[0]
    assert "cannot be called" in part_problems(replace(BULK, generate=lambda _o: iter(())))[0]


def test_a_source_that_fails_is_named(monkeypatch) -> None:
    def broken(_options: object, _seed: int) -> Iterator[Entry]:
        yield Entry(":0", ase.build.bulk("Cu"), "")
        raise ZeroDivisionError("no reason")

    known = registry()
    offered = replace(known.parts["source", "bulk"], part=replace(BULK, generate=broken))
    monkeypatch.setitem(known.parts, ("source", "bulk"), offered)
    first, failure = read_file(request("source:bulk").path)
    assert isinstance(first, Entry)
    assert first.id == "bulk:0"
    assert isinstance(failure, Failure)
    assert "source 'bulk' of plugin crystal-graphs" in failure.reason
    assert failure.code == "source-error"
