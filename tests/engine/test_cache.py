"""The graph cache: what goes in comes out, equal inputs give equal bytes, and damage is named."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import ase.build
import h5py
import numpy as np
import pytest
import torch
from common import small_cache
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.engine.cache import cache, cache_seal
from crystalcli.engine.cache.cache import Column, GraphCache, GraphRecipe
from crystalcli.engine.cache.cache_check import verify
from crystalcli.engine.cache.cache_packing import pack
from crystalcli.engine.cache.cache_writer import CacheWriter, write_cache
from crystalcli.engine.cache.sealed_array import flat_ranges
from crystalcli.engine.data.dataset import GraphDataset, reduced_formulas, source_file
from crystalcli.nouns.arrays import GraphArrays
from crystalcli.nouns.graph import CrystalGraph, collate
from crystalcli.nouns.neighbors import build_graph
from crystalcli.vocabulary.errors import EnvironmentProblem, InputError, UnsafeInput, UsageError
from crystalcli.vocabulary.quantities import Quantity

RECIPE = GraphRecipe("cgcnn", {"cutoff": 5.0, "max_neighbors": 12, "ties": "cut"})


def some_graphs(count=7, seed=0):
    rng = np.random.default_rng(seed)
    graphs = []
    for k in range(count):
        atoms = ase.build.bulk(*[("Cu", "fcc", 3.6), ("NaCl", "rocksalt", 5.6), ("Fe", "bcc", 2.9)][k % 3])
        atoms = atoms * tuple(rng.integers(1, 3, 3))
        atoms.rattle(0.05, rng=rng)
        graphs.append(build_graph(atoms, cutoff=5.0, max_neighbors=12))
    graphs.append(build_graph(ase.Atoms("He", cell=np.eye(3) * 40, pbc=[True, False, True]), cutoff=5.0))
    return graphs


def labels_of(graphs, seed=1):
    rng = np.random.default_rng(seed)
    n = len(graphs)
    sites = sum(x.n_atoms for x in graphs)
    mask = rng.random(n) < 0.7
    energy = Column(Quantity("energy", "eV", extensive=True), np.where(mask, rng.normal(size=n), np.nan), mask)
    forces = Column(Quantity("forces", "eV/Å", "site"), rng.normal(size=(sites, 3)), np.ones(sites, dtype=bool))
    return [energy, forces]


def write(path, graphs, columns=(), prefix="s", **more):
    ids = [f"{prefix}{k}" for k in range(len(graphs))]
    write_cache(path, RECIPE, ids, [f"{prefix}.xyz:{k}" for k in range(len(graphs))], graphs, columns, **more)
    return path


def same(a: CrystalGraph, b: CrystalGraph) -> None:
    for name, value in a.__dict__.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(b, name)), name
            assert value.dtype == getattr(b, name).dtype, name
    assert {k: v.tolist() for k, v in a.fields.items()} == {k: v.tolist() for k, v in b.fields.items()}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_equals_collating_the_graphs_in_any_order(tmp_path, dtype):
    graphs = some_graphs()
    data = GraphDataset.open([write(tmp_path / "a.h5", graphs)])
    for index in ([0], [7], [3, 1, 7, 1], list(range(8)), list(range(7, -1, -1))):
        batch = data.batch(np.array(index), dtype=dtype)
        same(batch.graph, collate([graphs[k] for k in index], dtype))


def test_labels_come_with_masks_and_sites_with_their_structures(tmp_path):
    graphs = some_graphs()
    energy, forces = columns = labels_of(graphs)
    data = GraphDataset.open([write(tmp_path / "a.h5", graphs, columns)])
    batch = data.batch(np.array([5, 2]), ["energy", "forces"])
    assert batch.labels["energy"].mask.tolist() == energy.mask[[5, 2]].tolist()
    np.testing.assert_array_equal(batch.labels["energy"].value.numpy(), energy.values[[5, 2]])
    starts = np.cumsum([0, *(x.n_atoms for x in graphs)])
    expected = np.concatenate([forces.values[starts[k] : starts[k + 1]] for k in (5, 2)])
    np.testing.assert_array_equal(batch.labels["forces"].value.numpy(), expected)
    assert batch.labels["forces"].mask.shape == (len(expected),)
    assert data.columns["energy"].quantity == energy.quantity


def test_equal_content_gives_equal_bytes(tmp_path):
    graphs = some_graphs()
    failures = [{"path": "x.cif", "id": "x", "stage": "read", "code": "syntax", "reason": "Ångström"}]
    one = write(tmp_path / "one.h5", graphs, labels_of(graphs), failures=failures, tags=[{"split": "a"}] * 8)
    two = write(tmp_path / "two.h5", graphs, labels_of(graphs), failures=failures, tags=[{"split": "a"}] * 8)
    assert digest(one) == digest(two)
    cache = GraphCache(one)
    assert cache.failures == failures
    assert cache.tags == {"split": ["a"] * 8}


def test_numbers_are_stored_narrow_and_widen_when_they_must(tmp_path):
    near = some_graphs(2)
    cache = GraphCache(write(tmp_path / "near.h5", near))
    assert cache.array("edges/neighbor").dtype == np.uint16
    assert cache.array("edges/shift").dtype == np.int8
    far = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    far.positions[1] += 70_000 * far.cell[0]
    graphs = [*near, build_graph(far, cutoff=5.0), *near]
    data = GraphDataset.open([write(tmp_path / "far.h5", graphs)])
    assert data.caches[0].array("edges/shift").dtype == np.int32
    same(data.batch(np.arange(len(graphs))).graph, collate(graphs))


def test_fields_travel_with_their_atoms_and_must_agree(tmp_path):
    plain = some_graphs(3)
    graphs = [GraphArrays(**{**x.__dict__, "fields": {"fixed": np.arange(x.n_atoms) + 0.5}}) for x in plain]
    data = GraphDataset.open([write(tmp_path / "a.h5", graphs)])
    same(data.batch(np.array([2, 0])).graph, collate([graphs[2], graphs[0]]))
    with pytest.raises(InputError, match="fields"):
        write(tmp_path / "b.h5", [graphs[0], plain[1]])
    assert not (tmp_path / "b.h5").exists()


def test_several_caches_read_as_one(tmp_path):
    graphs = some_graphs(8)
    energy, _ = labels_of(graphs[:4])
    one = write(tmp_path / "one.h5", graphs[:4], [energy], prefix="a")
    two = write(tmp_path / "two.h5", graphs[4:], prefix="b", tags=[{"split": "test"}] * 5)
    data = GraphDataset.open([one, two])
    assert data.ids == [*(f"a{k}" for k in range(4)), *(f"b{k}" for k in range(5))]
    assert data.tags["split"] == [""] * 4 + ["test"] * 5
    for index in ([8, 0, 5, 3, 0], [1], [6, 4]):
        batch = data.batch(np.array(index), ["energy"])
        same(batch.graph, collate([graphs[k] for k in index]))
        assert batch.labels["energy"].mask.tolist() == [k < 4 and bool(energy.mask[k]) for k in index]


def test_ids_of_two_caches_are_kept_apart(tmp_path):
    graphs = some_graphs(2)
    one, two = write(tmp_path / "one.h5", graphs), write(tmp_path / "two.h5", graphs)
    assert GraphDataset.open([one, two]).ids[:4] == ["one:s0", "one:s1", "one:s2", "two:s0"]
    (tmp_path / "x").mkdir()
    with pytest.raises(UsageError, match="occurs twice"):
        GraphDataset.open([one, shutil.copy(one, tmp_path / "x" / "one.h5")])


def test_other_recipes_and_meanings_are_refused(tmp_path):
    graphs = some_graphs(2)
    one = write(tmp_path / "one.h5", graphs, [Column(Quantity("e", "eV"), np.ones(3), np.ones(3, bool))])
    other = tmp_path / "other.h5"
    write_cache(other, GraphRecipe("cgcnn", {"cutoff": 6.0}), ["x"], ["x"], graphs[:1], [])
    with pytest.raises(UsageError, match=r"other.h5: was built with cutoff 6.0 \(here 5.0\)"):
        GraphDataset.open([one, other])
    meaning = write(tmp_path / "m.h5", graphs, [Column(Quantity("e", "meV"), np.ones(3), np.ones(3, bool))], prefix="m")
    with pytest.raises(UsageError, match="label 'e'"):
        GraphDataset.open([one, meaning])


def test_facts_of_a_data_set(tmp_path):
    graphs = some_graphs(3)
    data = GraphDataset.open([write(tmp_path / "a.h5", graphs)])
    assert data.formulas() == ["Cu", "ClNa", "Fe", "He"]
    assert data.elements() == [2, 11, 17, 26, 29]
    assert data.elements(np.array([3, 0])) == [2, 29]
    assert data.runs() == (["s.xyz"] * 4, pytest.approx([0, 1, 2, 3]))
    assert data.atom_counts().tolist() == [x.n_atoms for x in graphs]
    assert data.edge_counts().tolist() == [x.n_edges for x in graphs]


def test_formulas_are_reduced():
    assert reduced_formulas(np.array([8, 8, 8, 13, 13, 1, 1]), np.array([5, 2])) == ["Al2O3", "H"]
    assert [source_file(s) for s in ("a.xyz:3", "a.cif", "C:b.cif", "d:4/x.cif")] == [
        "a.xyz", "a.cif", "C:b.cif", "d:4/x.cif"
    ]  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=8))
def test_flat_ranges_equal_a_loop(pairs):
    starts = np.array([a for a, _ in pairs], dtype=np.int64)
    stops = np.array([a + n for a, n in pairs], dtype=np.int64)
    assert flat_ranges(starts, stops).tolist() == [k for a, n in pairs for k in range(a, a + n)]


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=20).filter(lambda t: "\0" not in t), st.integers(0, 2**32 - 1))
def test_any_id_and_any_crystal_come_back(tmp_path_factory, text, seed):
    if text.encode("utf-8", "ignore").decode() != text:
        return
    path = tmp_path_factory.mktemp("any") / "a.h5"
    graphs = some_graphs(1, seed)
    write_cache(path, RECIPE, [text, "x"], ["s", "t"], graphs, [])
    data = GraphDataset.open([path])
    assert data.ids[0] == text
    same(data.batch(np.array([0, 1])).graph, collate(graphs))
    assert verify(data.caches[0]).findings == ()


def damaged(path, change):
    with h5py.File(path, "r+") as h:
        change(h)
        block = h.userblock_size
    cache_seal.write(path, [], block)
    return path


def without(name):
    def change(h):
        del h[name]

    return change


def replaced(name, values):
    def change(h):
        del h[name]
        h[name] = values

    return change


def linked(h):
    del h["atoms/positions"]
    h["atoms/positions"] = h5py.ExternalLink("elsewhere.h5", "/x")


def soft(h):
    del h["atoms/positions"]
    h["atoms/positions"] = h5py.SoftLink("/structures/cell")


def external(h):
    del h["atoms/positions"]
    h.create_dataset("atoms/positions", shape=(3, 3), dtype="f8", external=[("/etc/hostname", 0, 72)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("structures/id"), "damaged"),
        (without("failures"), "damaged"),
        (replaced("structures/atom_pointers", np.array([0, 5, 3, 4])), "pointers"),
        (replaced("structures/cell", np.zeros((2, 3, 3))), "structures/cell has shape"),
        (replaced("edges/shift", np.zeros((4, 3), np.int8)), "edges/shift has shape"),
        (replaced("about", np.frombuffer(b"{\0", np.uint8)), "damaged"),
    ],
)
def test_a_damaged_cache_is_named(tmp_path, change, said):
    path = damaged(write(tmp_path / "a.h5", some_graphs(2)), change)
    with pytest.raises(InputError, match=said) as caught:
        GraphCache(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(("change", "said"), [(linked, "link"), (soft, "link"), (external, "another file")])
def test_data_of_other_files_are_refused_as_unsafe(tmp_path, change, said):
    path = damaged(write(tmp_path / "a.h5", some_graphs(2)), change)
    with pytest.raises(UnsafeInput, match=said) as caught:
        GraphCache(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"crystal-graphs 4", b"crystal-graphs 3", "of version 3, this crystal reads 4; build it again"),
        (b"crystal-graphs 4 4096", b"crystal-graphs 4 8192", "damaged"),
        (b"crystal-graphs 4 4096", b"crystal-graphs 4 many", "damaged"),
        (b'{"bytes": 3', b'{"bytes": 5', "damaged"),
        (b'"arrays": [[', b'"arrays": [[9', "damaged"),
        (b'"sha256": "', b'"sha256": "0', "damaged"),
        (b"crystal-graphs", b"crystal-grapes", "not a graph cache"),
        (b"cutoff", b"cutofg", "about is not what was written"),
    ],
)
def test_a_broken_seal_is_named(tmp_path, old, new, said):
    path = write(tmp_path / "a.h5", some_graphs(40))
    whole = path.read_bytes()
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1)[: len(whole)])
    with pytest.raises(InputError, match=said) as caught:
        GraphCache(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "truncated", "other", "folder"])
def test_what_is_no_cache_is_named(tmp_path, kind):
    path = tmp_path / "a.h5"
    if kind == "folder":
        path.mkdir()
    elif kind == "other":
        with h5py.File(path, "w") as h:
            h["x"] = 1
    elif kind == "truncated":
        whole = write(tmp_path / "b.h5", some_graphs(2)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind != "absent":
        path.write_bytes({"empty": b"", "text": b"not HDF5\n"}[kind])
    with pytest.raises(UsageError if kind == "absent" else InputError) as caught:
        GraphCache(path)
    assert str(caught.value).startswith(str(path))


def test_verify_finds_a_flipped_bit_anywhere(tmp_path):
    graphs = some_graphs(3)
    path = write(tmp_path / "a.h5", graphs)
    assert verify(GraphCache(path)).findings == ()
    with h5py.File(path) as h:
        where = {n: h[n].id.get_offset() for n in ("atoms/positions", "edges/neighbor", "edges/shift", "atoms/degree")}
    whole = path.read_bytes()
    for name, offset in where.items():
        broken = tmp_path / "broken.h5"
        broken.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        findings = verify(GraphCache(broken)).findings
        assert findings, name
        assert {f.id for f in findings} == {"s0"}


def test_verify_says_how_many_graphs_go_both_ways(tmp_path):
    radius = [build_graph(ase.build.bulk("NaCl", "rocksalt", a=5.6), cutoff=5.0)]
    few = ase.Atoms("H3", positions=[[0, 0, 0], [0, 0, 1], [0, 0, 3]])
    graphs = [*radius, build_graph(few, cutoff=5.0, max_neighbors=1)]
    verdict = verify(GraphCache(write(tmp_path / "a.h5", graphs)))
    assert (verdict.checked, verdict.symmetric, verdict.findings) == (2, 1, ())
    assert verdict.shortest == pytest.approx(1.0)


def test_a_graph_that_is_none_is_refused_at_the_door():
    good = build_graph(ase.build.bulk("NaCl", "rocksalt", a=5.6), cutoff=5.0)

    def bad(**changes):
        return GraphArrays(**{**good.__dict__, **changes})

    cases = {
        "shape": bad(cell_shifts=good.cell_shifts[:-1]),
        "edge to atom": bad(edge_index=good.edge_index + good.n_atoms),
        "own neighbor": bad(edge_index=good.edge_index * 0, cell_shifts=good.cell_shifts * 0),
        "not sorted": bad(edge_index=good.edge_index[:, ::-1]),
        "field mask": bad(fields={"mask": np.ones(5)}),
    }
    for said, graph in cases.items():
        with pytest.raises(InputError, match=said):
            pack(graph)


@pytest.mark.parametrize("texts", [("a\0", "x", {}), ("a", "x\0y", {}), ("a", "x", {"split": "\0"})])
def test_a_zero_byte_ends_a_text_and_is_none(tmp_path, texts):
    with CacheWriter(tmp_path / "a.h5") as writer:
        graph = pack(some_graphs(1)[0])
        writer.add("", "", graph, {"split": "\ud800\udcff é"})
        with pytest.raises(InputError, match="zero byte"):
            writer.add(texts[0], texts[1], graph, texts[2])
        writer.finish(RECIPE, failures=[{"id": "a\0b", "reason": "\n"}])
    cache = GraphCache(tmp_path / "a.h5")
    assert (cache.ids, cache.sources, cache.tags) == ([""], [""], {"split": ["\ud800\udcff é"]})
    assert (cache.failures[0]["id"], cache.failures[0]["reason"]) == ("a\\x00b", "\n")


def test_nothing_stays_when_writing_fails(tmp_path):
    graphs = some_graphs(2)
    path = write(tmp_path / "a.h5", graphs)
    before = digest(path)
    with pytest.raises(UsageError, match="cannot be a name"):
        write(path, graphs, [Column(Quantity("a/b"), np.ones(3), np.ones(3, bool))])
    assert digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", some_graphs(2))
    before = digest(path)
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        write(path, some_graphs(3))
    assert digest(path) == before


@pytest.mark.parametrize("what", ["tags", "failures", "ids", "fields", "labels"])
def test_all_that_is_written_needs_room(tmp_path, monkeypatch, what):
    """HDF5 writes the small things itself, and a full disk under it ends the program."""
    text = "鉄" * 1_000_000  # much more than the margin
    graphs = [pack(g) for g in some_graphs(2)]
    n = len(graphs)
    column = Column(Quantity("big", shape=(100_000,)), np.ones((n, 100_000), np.float32), np.ones(n, bool))
    if what == "fields":
        graphs = [replace(g, fields={"wide": np.ones((len(g.atomic_numbers), 100_000))}) for g in graphs]

    def written():
        with CacheWriter(tmp_path / "a.h5") as writer:
            for k, graph in enumerate(graphs):
                writer.add(f"{k}{text if what == 'ids' else ''}", "", graph, {"note": text} if what == "tags" else None)
            failures = [{"id": "x", "reason": text}] if what == "failures" else []
            writer.finish(RECIPE, [column] if what == "labels" else [], failures)

    written()
    size = (tmp_path / "a.h5").stat().st_size
    usage = shutil.disk_usage(tmp_path)._replace(free=size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentProblem, match="No space left"):
        written()


def test_a_write_that_fails_on_the_way_is_an_error_and_leaves_the_old_file(tmp_path):
    import resource
    import signal

    path = write(tmp_path / "a.h5", some_graphs(2))
    before = digest(path)
    many = some_graphs(2) * 300
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(EnvironmentProblem, match=r"a\.h5: cannot write: "):
            write(path, many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("step", ["seal", "HDF5"])
def test_a_cache_replaced_while_it_is_opened_is_the_new_one_and_no_mixture(tmp_path, monkeypatch, step):
    path, other = write(tmp_path / "a.h5", some_graphs(3)), write(tmp_path / "b.h5", some_graphs(5, seed=9))
    new = GraphDataset.open([other])
    everything = np.arange(len(new))
    expected = new.batch(everything).graph
    sound = {"seal": cache_seal.check, "HDF5": cache.h5py.File}[step]

    def replaced(*words, **more):
        found = sound(*words, **more)
        if other.exists():
            other.replace(path)
        return found

    monkeypatch.setattr(*{"seal": (cache_seal, "check"), "HDF5": (cache.h5py, "File")}[step], replaced)
    data = GraphDataset.open([path])
    assert data.ids == new.ids
    same(data.batch(everything).graph, expected)


def test_an_open_cache_survives_its_replacement(tmp_path):
    graphs = some_graphs(4)
    path = write(tmp_path / "a.h5", graphs)
    data = GraphDataset.open([path])
    write(path, some_graphs(2, seed=9))
    same(data.batch(np.array([3, 0])).graph, collate([graphs[3], graphs[0]]))


def test_a_large_cache_is_written_without_being_held(tmp_path):
    import tracemalloc

    graph = pack(build_graph(ase.build.bulk("Cu", "fcc", a=3.6) * (6, 6, 6), cutoff=5.0, max_neighbors=12))
    tracemalloc.start()
    with CacheWriter(tmp_path / "a.h5") as writer:
        for k in range(1000):
            writer.add(f"s{k}", "x", graph)
        writer.finish(RECIPE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "a.h5").stat().st_size > 1.5e7
    assert peak < 4e7


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            Quantity("y", "meV"),
            "is in meV here, in eV in {}; bring their files to one unit, or name one of them otherwise",
        ),
        (
            Quantity("y"),
            "is in a unit that is not said here, in eV in {}; if it is the same, build the other with --targets y:eV",
        ),
        (Quantity("y", "eV", extensive=True), "is a total here, no total in {}; name one of them otherwise"),
    ],
)
def test_labels_of_two_meanings_say_what_differs(tmp_path: Path, other: Quantity, said: str) -> None:
    paths = []
    for k, quantity in enumerate((Quantity("y", "eV"), other)):
        column = Column(quantity, np.ones(2), np.ones(2, dtype=bool))
        paths.append(small_cache.write(tmp_path / f"{k}.h5", 2, columns=[column], stem=str(k)))
    with pytest.raises(UsageError) as caught:
        GraphDataset.open(paths)
    assert said.format(paths[0]) in str(caught.value)
    assert str(caught.value).startswith(f"{paths[1]}: label 'y'")
    assert "Quantity" not in str(caught.value)
