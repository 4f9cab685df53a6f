"""Files that declare what they do not hold: refused by their shapes, before anything of them is read."""

import json
import tracemalloc

import h5py
import numpy as np
import pytest
from engine.test_cache import labels_of, some_graphs, write

from crystalcli.engine.cache import cache_seal
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.cache.cache_check import verify
from crystalcli.engine.cache.sealed_array import checksums
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.vocabulary.errors import Exit, InputError

BILLIONS = 2 * 10**9


@pytest.fixture
def cache(tmp_path):
    graphs = some_graphs(9)
    failures = [{"path": "x.cif", "id": "x", "stage": "read", "code": "syntax", "reason": "no"}]
    return write(tmp_path / "a.h5", graphs, labels_of(graphs), failures=failures, tags=[{"split": "a"}] * len(graphs))


def resealed(path, change):
    """Change a cache as somebody would who can make seals."""
    with h5py.File(path, "r+") as h:
        change(h)
        block = h.userblock_size
    cache_seal.write(path, [], block)
    return path


def refused(path, said):
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=said) as caught:
            GraphDataset.open([path]).batch(np.array([0, 1, 2]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == Exit.NOTHING_USABLE
    assert str(caught.value).startswith(f"{path}: ")
    assert peak < 2e7


def instead(name, **declared):
    def change(h):
        dtype = declared.pop("dtype", h[name].dtype if name in h else "f8")
        if name in h:
            del h[name]
        h.create_dataset(name, dtype=dtype, **declared)

    return change


def rewritten(name, values):
    def change(h):
        dtype = h[name].dtype
        del h[name]
        h.create_dataset(name, data=np.asarray(values, dtype=dtype))

    return change


PACKED = {"shape": (BILLIONS,), "chunks": (10**6,), "compression": "gzip"}


@pytest.mark.parametrize(
    "name",
    [
        "labels/energy/values",
        "labels/energy/mask",
        "labels/forces/values",
        "structures/id",
        "structures/source",
        "structures/sha256",
        "structures/atom_pointers",
        "structures/cell",
        "tags/split",
        "tags/new",
        "failures/reason",
        "atoms/positions",
        "atoms/fields/new",
        "edges/shift",
        "checks/edges/shift",
        "about",
        "nobody/asked",
    ],
)
@pytest.mark.parametrize("how", [PACKED, {"shape": (BILLIONS,)}, {"shape": (1, 2**58)}, {"shape": (2**40, 2**40)}])
def test_an_array_that_the_file_cannot_hold(cache, name, how):
    refused(resealed(cache, instead(name, **how)), "implausible size: .*declares .* bytes.*; the file has ")


def test_many_arrays_that_are_one(cache):
    def change(h):
        for k in range(300):
            h[f"tags/t{k}"] = h["about"]

    refused(resealed(cache, change), "is there twice")


def test_many_small_arrays_that_were_never_written(cache):
    def change(h):
        for k in range(50):
            h.create_dataset(f"tags/t{k}", shape=(4000,), dtype="u1")

    refused(resealed(cache, change), "implausible size")


@pytest.mark.parametrize("where", ["a", "structures/a", "labels/energy/a"])
def test_groups_that_hold_themselves(cache, where):
    def change(h):
        h[where] = h["structures"] if where != "a" else h["/"]

    refused(resealed(cache, change), "is there twice")


def test_groups_without_end(cache):
    def change(h):
        group = h
        for _ in range(600):
            group = group.create_group("g")
        group["x"] = 1

    refused(resealed(cache, change), "damaged: g/g/g")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (instead("structures/pbc", shape=(10, 3)), "pbc is not in the file"),  # would read as zeros
        (instead("structures/cell", shape=(10, 3, 3), chunks=(1, 3, 3)), "cell does not lie in one piece"),
        (instead("labels/energy/mask", shape=(10,), data=np.ones(10), dtype="i1"), "mask has numbers of type int8"),
        (instead("labels/energy/values", data=np.zeros(10), dtype="f4"), "values has numbers of type float32"),
        (instead("structures/id", shape=(10,), dtype=h5py.string_dtype()), "id has numbers of type object"),
        (instead("tags/split", data=np.zeros(9, np.uint8), dtype="u1"), "split holds 9 texts, expected 10"),
        (instead("tags/split", data=np.frombuffer(b"\0" * 9 + b"\0x", np.uint8), dtype="u1"), "split holds 10 texts"),
        (instead("labels/new/values", data=np.zeros(10), dtype="f8"), "labels/new/mask is missing"),
        (instead("atoms/fields/a/b", data=np.zeros(10), dtype="f8"), "missing|nothing that a cache has"),
        (instead("labels/energy/values", shape=(), dtype="f8"), "values has shape"),
        (instead("labels/energy/values", data=h5py.Empty("f8"), dtype="f8"), "damaged"),
        (lambda h: h.__setitem__("tags/t", np.dtype("f8")), "holds no data"),
    ],
)
def test_what_lies_otherwise_than_in_a_cache(cache, change, said):
    refused(resealed(cache, change), said)


@pytest.mark.parametrize("kind", ["atom", "edge"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: [1, *p[1:]],
        lambda p: [*p[:3], -1, *p[4:]],
        lambda p: [p[0], p[2], p[1], *p[3:]],
        lambda p: [*p[:-1], p[-1] + 1],
        lambda p: [0, 2**62, -(2**63), -(2**62), *p[4:]],  # all differences that overflow are positive
    ],
)
def test_pointers_that_do_not_ascend(cache, kind, spoil):
    with h5py.File(cache) as h:
        found = h[f"structures/{kind}_pointers"][()].tolist()
    refused(resealed(cache, rewritten(f"structures/{kind}_pointers", spoil(found))), "do not ascend from 0 to")


def test_a_structure_without_atoms(cache):
    with h5py.File(cache) as h:
        found = h["structures/atom_pointers"][()].tolist()
    refused(resealed(cache, rewritten("structures/atom_pointers", [0, 0, *found[2:]])), "do not ascend from 0 to")


def test_a_cache_without_structures(tmp_path):
    refused(write(tmp_path / "none.h5", []), "holds no structure")


def checked(name, values):
    """Other numbers in a large array, with their checksums."""

    def change(h):
        del h[name], h[f"checks/{name}"]
        h.create_dataset(name, data=values)
        h.create_dataset(f"checks/{name}", data=np.array(checksums(values.tobytes()), np.uint32))

    return change


@pytest.mark.parametrize(
    ("name", "dtype", "spoil", "said"),
    [
        ("edges/neighbor", np.int64, lambda v: v - 1, "leads to an atom that it has not"),
        ("edges/neighbor", np.int64, lambda v: v + 2**40, "leads to an atom that it has not"),
        ("edges/neighbor", np.int32, lambda v: v * 0 + np.int32(-(2**31)), "leads to an atom that it has not"),
        ("atoms/degree", np.int32, lambda v: v * 0 - 1, "has edges that are not there"),
        ("atoms/degree", np.int64, lambda v: v * 0 + 2**62, "has edges that are not there"),  # sums overflow to 0
        ("atoms/degree", np.uint16, lambda v: v * 0, "do not have as many edges"),
        ("atoms/atomic_numbers", np.uint8, lambda v: v * 0 + 119, "no element"),
        ("atoms/atomic_numbers", np.uint8, lambda v: v * 0, "no element"),
        ("atoms/positions", np.float64, lambda v: v * np.nan, "nowhere"),
    ],
)
def test_numbers_that_cannot_be_a_graph(cache, name, dtype, spoil, said):
    with h5py.File(cache) as h:
        values = spoil(h[name][()].astype(dtype))
    path = resealed(cache, checked(name, values))
    refused(path, said)
    assert verify(GraphCache(path)).findings
    if name == "atoms/atomic_numbers":
        for ask in ("formulas", "elements"):
            with pytest.raises(InputError, match="no element"):
                getattr(GraphDataset.open([path]), ask)()


def about(**changes):
    def change(h):
        told = json.loads(h["about"][()].tobytes()[:-1])
        label = changes.pop("label", {})
        told["labels"][0] |= label
        told |= changes
        del h["about"]
        h["about"] = np.frombuffer(json.dumps(told).encode() + b"\0", np.uint8)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (about(label={"classes": BILLIONS}), "labels/energy cannot be"),
        (about(label={"classes": -1}), "labels/energy cannot be"),
        (about(label={"classes": "many"}), "damaged"),
        (about(label={"shape": [BILLIONS]}), "labels/energy cannot be"),
        (about(label={"level": "site"}), "has 10 values .* expected 3"),
        (about(label={"level": "galaxy"}), "labels/energy cannot be"),
        (about(label={"name": "other"}), "the labels are not those"),
        (about(label={"what": 1}), "damaged"),
        (about(labels=[]), "the labels are not those"),
        (about(labels=[1]), "damaged"),
        (about(options=3), "damaged"),
        (about(versions=None), "damaged"),
        (rewritten("about", np.frombuffer(b"[" * 10**5 + b"\0", "u1")), "damaged"),
        (rewritten("about", np.frombuffer(b"[]\0", "u1")), "damaged"),
    ],
)
def test_what_a_cache_says_of_itself(cache, change, said):
    refused(resealed(cache, change), said)
