"""Whatever happens to a cache on its way, what is read of it is what was written, or one line that names the damage."""

import zlib

import ase.build
import h5py
import numpy as np
import pytest
from engine.test_cache import RECIPE, labels_of, some_graphs, write
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.engine.cache import sealed_array
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.cache.cache_check import verify
from crystalcli.engine.cache.cache_packing import pack
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.cache.sealed_array import BLOCK, Ranges, SealedArray, checksums
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.graphs import caches
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.hdf5 import datasets
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.errors import Exit, InputError

LARGE = (
    "atoms/positions",
    "atoms/atomic_numbers",
    "atoms/degree",
    "atoms/fields/moment",
    "edges/neighbor",
    "edges/shift",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A cache with everything that a cache can have."""
    graphs = [
        GraphArrays(**{**g.__dict__, "fields": {"moment": np.arange(g.n_atoms * 2.0).reshape(-1, 2)}})
        for g in some_graphs(20)
    ]
    failures = [{"path": "x.cif", "id": "x", "stage": "read", "code": "syntax", "reason": "Ångström"}]
    tags = [{"split": "test" if k % 3 else ""} for k in range(len(graphs))]
    return write(tmp_path_factory.mktemp("sound") / "a.h5", graphs, labels_of(graphs), failures=failures, tags=tags)


def large_cache(path, seed=0):
    """Eighty copies of a crystal of 216 atoms, shaken: several blocks in every array."""
    rng = np.random.default_rng(seed)
    crystal = ase.build.bulk("Cu", "fcc", a=3.6) * (6, 6, 6)
    with CacheWriter(path) as writer:
        for k in range(80):
            shaken = crystal.copy()
            shaken.rattle(0.05, rng=rng)
            writer.add(f"s{k}", "x", pack(build_graph(shaken, cutoff=3.0)))
        writer.finish(RECIPE)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return large_cache(tmp_path_factory.mktemp("large") / "large.h5")


def places(path):
    with h5py.File(path) as h:
        return {n: (d.id.get_offset(), d.nbytes) for n, d in datasets(h, path).items() if d.size}


def spoiled(path, target, at, new):
    data = bytearray(path.read_bytes())
    data[at : at + len(new)] = new
    target.write_bytes(data)
    return target


def flipped(path, target, bit):
    return spoiled(path, target, bit // 8, [path.read_bytes()[bit // 8] ^ 1 << bit % 8])


def everything(path):
    """All that a program can learn from a cache."""
    data = GraphDataset.open([path])
    batch = data.batch(np.arange(len(data)), list(data.columns))
    tensors = {**vars(batch.graph), **batch.graph.fields}
    tensors |= {f"{n} {k}": v for n, x in batch.labels.items() for k, v in vars(x).items()}
    numbers = {k: v.numpy().tobytes() for k, v in tensors.items() if hasattr(v, "numpy")}
    facts = data.ids, data.sources, data.tags, data.structure_hashes().tobytes(), data.recipe, data.formulas()
    return numbers, facts, data.caches[0].failures, [c.quantity for c in data.columns.values()]


def same_or_said(path, expected):
    try:
        found = everything(path)
    except InputError as problem:
        line, code = str(problem), problem.exit_code
    else:
        assert found == expected
        return "same"
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert code == Exit.NOTHING_USABLE
    return "said"


def test_one_wrong_bit_in_any_dataset_is_said_and_named(sound, tmp_path):
    rng = np.random.default_rng(7)
    for name, (start, count) in places(sound).items():
        for at in {0, count - 1, *rng.integers(0, count, 4)}:
            bad = flipped(sound, tmp_path / "bad.h5", 8 * (start + int(at)) + int(rng.integers(8)))
            with pytest.raises(InputError, match=rf"damaged: {name}\b.* is not what was written"):
                everything(bad)


def test_one_wrong_bit_anywhere_changes_nothing_unsaid(sound, tmp_path):
    rng, size = np.random.default_rng(8), sound.stat().st_size
    expected = everything(sound)
    outcomes = [
        same_or_said(flipped(sound, tmp_path / "bad.h5", int(bit)), expected) for bit in rng.integers(0, 8 * size, 250)
    ]
    assert outcomes.count("said") > 200
    assert set(outcomes) == {"said", "same"}  # what fills the user block is nobody's


@pytest.mark.parametrize("tail", [1, 40, 800, 4096, 9000])
@pytest.mark.parametrize("filled", [b"\0", b"\xff"])
def test_a_tail_that_was_never_written(sound, tmp_path, tail, filled):
    size = sound.stat().st_size
    bad = spoiled(sound, tmp_path / "bad.h5", size - tail, filled * tail)
    if bad.read_bytes() == sound.read_bytes():
        pytest.skip("the tail is so")
    with pytest.raises(InputError, match=r"damaged: .* is not what was written"):
        everything(bad)


@pytest.mark.parametrize("kept", [0, 10, 4095, 5000, -1, -700])
def test_a_cache_cut_short(sound, tmp_path, kept):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(sound.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"bad\.h5: (damaged|not a graph cache)"):
        everything(bad)


@pytest.mark.parametrize("name", ["atoms/positions", "edges/neighbor"])
def test_blocks_in_each_others_place(large, tmp_path, name):
    start, count = places(large)[name]
    data = bytearray(large.read_bytes())
    assert count > 2 * BLOCK
    first, second = slice(start, start + BLOCK), slice(start + BLOCK, start + 2 * BLOCK)
    data[first], data[second] = data[second], data[first]
    assert data != large.read_bytes()
    (tmp_path / "bad.h5").write_bytes(data)
    with pytest.raises(InputError, match=f"damaged: {name} of s0, s1"):
        everything(tmp_path / "bad.h5")


@pytest.mark.parametrize("name", ["atoms/positions", "structures/cell", "structures/sha256", "labels/energy/values"])
def test_an_array_of_another_cache_of_the_same_shape(tmp_path, name):
    graphs, others = some_graphs(9, seed=1), some_graphs(9, seed=1)
    moved = [GraphArrays(**{**g.__dict__, "positions": g.positions + 0.01, "cell": g.cell * 1.01}) for g in others]
    one = write(tmp_path / "one.h5", graphs, labels_of(graphs))
    two = write(tmp_path / "two.h5", moved, labels_of(graphs, seed=2))
    start, count = places(one)[name]
    assert places(two)[name] == (start, count)
    bad = spoiled(one, tmp_path / "bad.h5", start, two.read_bytes()[start : start + count])
    with pytest.raises(InputError, match=f"damaged: {name}"):
        everything(bad)


def test_only_what_is_read_is_looked_at_and_only_once(large, tmp_path, monkeypatch):
    start, count = places(large)["edges/shift"]
    bad = flipped(large, tmp_path / "bad.h5", 8 * (start + count - 1))
    data = GraphDataset.open([bad])
    whole = GraphDataset.open([large])
    looked = []
    crc32 = zlib.crc32
    monkeypatch.setattr(sealed_array.zlib, "crc32", lambda block: looked.append(len(block)) or crc32(block))
    data.batch(np.array([0, 1]))
    assert 5 <= len(looked) < 12
    looked.clear()
    data.batch(np.array([1, 0]))
    assert looked == []
    with pytest.raises(InputError, match=r"damaged: edges/shift of s79 is not what was written"):
        data.batch(np.array([2, 79]))
    with pytest.raises(InputError, match="s79"):
        data.batch(np.array([79]))
    looked.clear()
    for k in range(80):
        whole.batch(np.array([k]))
    assert sum(looked) == sum(n for name, (_, n) in places(large).items() if name in LARGE)


def test_every_way_in_says_it(sound, tmp_path):
    start, _ = places(sound)["edges/shift"]
    bad = flipped(sound, tmp_path / "bad.h5", 8 * start)
    other = write(tmp_path / "other.h5", some_graphs(2), prefix="o")
    with pytest.raises(InputError, match="edges/shift of s0"):
        caches.merge([bad], tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()
    with pytest.raises(InputError, match="edges/shift of s0"):
        GraphCache(bad).check()
    assert {f.id for f in verify(GraphCache(bad)).findings} == {"s0"}
    numbers = flipped(sound, tmp_path / "numbers.h5", 8 * places(sound)["atoms/atomic_numbers"][0])
    for ask in (caches.info, lambda p: GraphDataset.open([p]).elements(), lambda p: GraphDataset.open([p]).formulas()):
        with pytest.raises(InputError, match="atoms/atomic_numbers of s0"):
            ask(numbers)
    degree = flipped(sound, tmp_path / "degree.h5", 8 * places(sound)["atoms/degree"][0])
    with pytest.raises(InputError, match="atoms/degree of s0"):
        caches.info(degree)
    assert caches.info(other)["structures"] == 3


def test_verify_finds_fields_that_no_hash_of_a_structure_covers(sound, tmp_path):
    assert verify(GraphCache(sound)).findings == ()
    bad = flipped(sound, tmp_path / "bad.h5", 8 * places(sound)["atoms/fields/moment"][0] + 3)
    findings = verify(GraphCache(bad)).findings
    assert findings
    assert all("field 'moment' is not what was written" in f.problem for f in findings)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_found_where_it_is_read_and_nowhere_else(data):
    """Against a twin that looks at every byte."""
    tail = data.draw(st.sampled_from([(), (3,), (7, 5), (40_000,)]))
    width = int(np.prod(tail))
    n = data.draw(st.integers(1, 400_000 // width))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    raw = rng.integers(0, 256, (n, *tail), dtype=np.uint8)
    sums = np.array(checksums(raw.tobytes()), np.uint32)
    wrong = sorted(rng.integers(0, raw.size, data.draw(st.integers(0, 2))).tolist())
    for at in wrong:
        raw.reshape(-1)[at] ^= 1 << int(rng.integers(8))
    array = SealedArray(raw, sums)
    bad_blocks = {k for k in range(len(sums)) if zlib.crc32(raw.tobytes()[k * BLOCK : (k + 1) * BLOCK]) != sums[k]}
    assert bad_blocks == {at // BLOCK for at in wrong} or len(set(wrong)) < len(wrong)
    for _ in range(5):
        starts = rng.integers(0, n + 1, 3)
        stops = np.minimum(n, starts + rng.integers(0, 1 + n // 3, 3))
        read = {b // BLOCK for a, z in zip(starts, stops, strict=True) for b in _bytes(a, z, width)}
        found = array.first_damage(starts, stops)
        assert (found is not None) == bool(read & bad_blocks)
        if found is not None:
            first, stop = found
            assert any(first * width < (k + 1) * BLOCK and k * BLOCK < stop * width for k in read & bad_blocks)


def _bytes(start, stop, width):
    """A byte of every block between, the last one too."""
    return [*range(start * width, stop * width, BLOCK), *([stop * width - 1] if stop > start else [])]


def test_ranges_hold_pairs():
    ranges = Ranges.of(np.array([3, 5]), np.array([4, 9]))
    assert ranges.pairs == [(3, 4), (5, 9)]
