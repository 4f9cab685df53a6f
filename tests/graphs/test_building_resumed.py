"""A build that is killed, stopped or out of room at any point ends, when it is given again, in the same bytes."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import ase.build
import ase.io
import numpy as np
import pytest
from common.failing_writes import in_a_child, nth_write

from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.read import reading
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.stopping import StopSignal
from crystalcli.graphs import build as building
from crystalcli.graphs import parts
from crystalcli.graphs.build import build
from crystalcli.graphs.codec import from_bytes, to_bytes
from crystalcli.graphs.packing import Built, GraphWork, outcomes
from crystalcli.graphs.parts import Share
from crystalcli.graphs.plan import BuildPlan
from crystalcli.graphs.resolving import resolve
from crystalcli.nouns.structures import formats, pieces
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, InputError, Stopped, UsageError


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    """Units of three files, parts of two outcomes."""
    monkeypatch.setattr(parts, "UNIT", 3)
    monkeypatch.setattr(building, "UNIT", 3)
    monkeypatch.setattr(parts, "PART", 2)


def inputs(folder: Path) -> tuple[str, ...]:
    """Crystals with labels of every kind, several in a file, one broken, two of one name."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(7):
        frames = []
        for j in range(1 + k % 4):
            atoms = ase.build.bulk(("Cu", "Ag", "Al")[k % 3], "fcc", a=4.0 + 0.01 * j).repeat((2, 1, 1))
            atoms.rattle(0.01, seed=10 * k + j)
            atoms.info |= {"gap": float(rng.normal()), "kind": "metal" if j else "alloy", "name": f"same{j % 2}"}
            atoms.info |= {"whole": np.int64(k)}
            atoms.arrays["q"] = rng.normal(size=len(atoms))
            if k == 2:
                atoms.arrays["q"][0] = np.nan
            frames.append(atoms)
        ase.io.write(folder / f"{k}.extxyz", frames)
    (folder / "4b.cif").write_text("data_nothing\n")
    return tuple(str(p) for p in sorted(folder.iterdir()))


@pytest.fixture
def whole(tmp_path):
    """A plan, and the bytes that it gives when nothing goes wrong."""
    plan = BuildPlan(inputs(tmp_path / "in"), tmp_path / "whole.h5", "cgcnn", targets=("gap:eV", "q:e"))
    report = build(plan)
    assert len(report.failures) == 1
    assert not parts.folder(plan.output).exists()
    return replace(plan, output=tmp_path / "again.h5"), plan.output.read_bytes()


class StopAfter(StopSignal):
    """Stops at the n-th question."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n

    def reason(self) -> str | None:
        self.left -= 1
        return "SIGTERM" if self.left < 0 else None


def test_outcomes_come_back_as_they_were(whole):
    plan, _ = whole
    every = [o for _, o in outcomes(GraphWork("cgcnn"), reading.plan([Path(p) for p in plan.inputs]).items, Place())]
    back = from_bytes(to_bytes(every))
    assert len(back) == len(every) == 17
    for one, other in zip(every, back, strict=True):
        assert type(one) is type(other)
        if not isinstance(one, Built):
            assert one == other
            continue
        np.testing.assert_array_equal(one.graph.neighbor, other.graph.neighbor)
        np.testing.assert_array_equal(one.graph.cell, other.graph.cell)
        np.testing.assert_array_equal(one.entry.labels["q"], other.entry.labels["q"])
        assert one.graph.graph_sha256 == other.graph.graph_sha256
        assert {k: v for k, v in one.entry.labels.items() if k != "q"} == {
            k: v for k, v in other.entry.labels.items() if k != "q"
        }
        assert replace(one.entry, labels={}) == replace(other.entry, labels={})
        assert one.warnings == other.warnings
    assert from_bytes(to_bytes([])) == []


def test_stopped_anywhere(whole):
    plan, expected = whole
    stops = 0
    for n in (0, 1, 0, 2, 3):
        with pytest.raises(Stopped, match="the same command goes on"):
            build(plan, stop=StopAfter(n))
        stops += 1
        assert parts.folder(plan.output).is_dir()
        assert not plan.output.exists()
    assert stops == 5
    assert build(plan).exit_code == Exit.SOME_FAILED
    assert plan.output.read_bytes() == expected
    assert not parts.folder(plan.output).exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "journal"])
def test_a_damaged_part_is_made_again(whole, damage):
    plan, expected = whole
    with pytest.raises(Stopped):
        build(plan, stop=StopAfter(9))
    first, second = sorted(parts.folder(plan.output).glob("*.part"))[:2]
    data = bytearray(first.read_bytes())
    if damage == "cut":
        first.write_bytes(data[: len(data) // 2])
    elif damage == "flip":
        data[-3] ^= 4
        first.write_bytes(data)
    elif damage == "gone":
        second.unlink()
    else:
        journal = parts.folder(plan.output) / "journal-all.jsonl"
        journal.write_bytes(journal.read_bytes()[:-7])
    with pytest.raises(Stopped):
        build(plan, stop=StopAfter(5))  # some of it is made again, then a second stop
    build(plan)
    assert plan.output.read_bytes() == expected


@pytest.mark.parametrize("data", [b"", b"12345678{", b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]", b"\xff" * 90])
def test_what_is_no_part_is_named(whole, tmp_path, data):
    plan, _ = whole
    (tmp_path / "x.part").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.part: is no part of a build .*; remove its folder"):
        parts.Parts(plan.output, "digest", parts.Share()).read(tmp_path / "x.part")


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe", bytes(64), b"0123"])
def test_a_damaged_mark_costs_nothing(whole, mark, monkeypatch):
    plan, expected = whole
    with pytest.raises(Stopped):
        build(plan, stop=StopAfter(9))
    folder = parts.folder(plan.output)
    before = sorted(p.stat().st_size for p in folder.glob("*.part"))
    (folder / "build").write_bytes(mark)
    read = []
    monkeypatch.setattr(parts, "from_bytes", lambda data: read.append(len(data)) or from_bytes(data))
    build(plan)
    assert plan.output.read_bytes() == expected
    assert sorted(read) == before


def test_parts_of_other_inputs_do_not_count(whole, tmp_path):
    plan, _ = whole
    with pytest.raises(Stopped):
        build(plan, stop=StopAfter(9))
    fewer = replace(plan, inputs=plan.inputs[1:])
    build(fewer)
    build(replace(fewer, output=tmp_path / "fresh.h5"))
    assert plan.output.read_bytes() == (tmp_path / "fresh.h5").read_bytes()


def test_an_array_job_shares_the_files_and_nothing_is_read_twice(whole, monkeypatch):
    plan, expected = whole
    for k in (2, 0, 1):
        report = build(replace(plan, share=Share(k, 3)))
        assert report.exit_code in (Exit.OK, Exit.SOME_FAILED)
        assert not plan.output.exists()
    monkeypatch.setattr(
        building, "outcomes", lambda _w, named, *_, **__: iter([]) if not named else pytest.fail("read")
    )
    build(plan)
    assert plan.output.read_bytes() == expected


def test_one_large_file_is_shared_too(tmp_path, monkeypatch):
    whole, again = tmp_path / "whole.h5", tmp_path / "again.h5"
    every = [f for p in inputs(tmp_path / "in")[:-1] if p.endswith("xyz") for f in ase.io.read(p, ":")]
    for frame in every:
        frame.info["name"] = "same"
    ase.io.write(tmp_path / "all.extxyz", every)
    plan = BuildPlan((str(tmp_path / "all.extxyz"),), whole, "cgcnn", targets=("gap:eV",))
    build(plan)
    plan, expected = replace(plan, output=again), whole.read_bytes()
    monkeypatch.setattr(pieces, "SIZE", 200)
    monkeypatch.setattr(formats, "SIZE", 200)
    assert len(resolve(plan).reading.items) == len(every)
    for k in (2, 0, 1):
        with pytest.raises(Stopped):
            build(replace(plan, share=Share(k, 3)), stop=StopAfter(1))
        build(replace(plan, share=Share(k, 3), place=Place(2)))
    build(plan)
    assert again.read_bytes() == expected
    assert GraphCache(again).ids == ["same", *(f"same#{k}" for k in range(2, len(every) + 1))]


def test_shares_are_written_as_people_do():
    assert Share.parse("3/8") == Share(2, 8)
    for wrong in ("0/3", "4/3", "3", "a/b", "1/0"):
        with pytest.raises(UsageError, match="i/n"):
            Share.parse(wrong)


def test_every_write_may_find_the_disk_full(whole, tmp_path):
    plan, expected = whole
    n, found = 0, []
    while True:
        n += 1
        output = tmp_path / f"{n}.h5"
        with pytest.MonkeyPatch.context() as patch:
            seen = nth_write(patch, n, "full")
            try:
                build(replace(plan, output=output))
            except EnvironmentProblem as problem:
                found.append(problem)
        build(replace(plan, output=output))
        assert output.read_bytes() == expected, n
        if seen[0] < n:
            break
    assert n > 20
    assert len(found) >= n - 2
    assert {p.exit_code for p in found} == {Exit.ENVIRONMENT}
    assert all("No space left" in p.reason for p in found)


@pytest.mark.parametrize("at", ["kill", "tear"])
def test_every_write_may_be_the_last(whole, tmp_path, at):
    plan, expected = whole
    for n in count(1):
        output = tmp_path / f"{n}.h5"
        died = in_a_child(lambda: build(replace(plan, output=output)), n, at)  # noqa: B023 - called at once
        build(replace(plan, output=output))
        assert output.read_bytes() == expected, n
        if not died:
            break
    assert n > 20
