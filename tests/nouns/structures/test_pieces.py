"""Pieces of a file, read one after the other, are the file."""

import csv
import gzip
import io

import ase
import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.engine.read.reading import Failure, plan, read_file
from crystalcli.nouns.structures import formats, pieces
from crystalcli.nouns.structures.pieces import WHOLE

CIF = """data_x
_cell_length_a {a}
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{atom} 0 0 0
"""


def table(rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "energy", "cif"])
    for name, a, bad in rows:
        writer.writerow([name, a, CIF.format(a=a, atom="Xx" if bad else "Na")])
    return text.getvalue()


def frames(rows):
    text = io.StringIO()
    for k, (name, a, bad) in enumerate(rows):
        atoms = ase.Atoms("NaCl"[: 2 + 2 * (k % 2)], cell=[a, 4, 4], pbc=True)
        atoms.positions[:, 0] = np.arange(len(atoms)) * 2.0
        if name:
            atoms.info["id"] = name
        atoms.info["energy"] = -a
        ase.io.write(text, atoms, format="extxyz")
        if bad:
            text.write("2\nbad frame\nQq 0 0 0\nNa 0 0\n")
    return text.getvalue()


def shown(items):
    return [
        (i.path, i.id, i.code, i.reason)
        if isinstance(i, Failure)
        else (i.source, i.id, i.atoms.positions.tolist(), i.atoms.cell.tolist(), dict(i.labels), i.warnings)
        for i in items
    ]


def check(path, size):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "SIZE", size)
        patched.setattr(formats, "SIZE", size)
        items = plan([path]).items
    assert shown(i for item in items for i in read_file(*item)) == shown(read_file(path))
    return len(items)


rows_of = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "naïve, with comma", 'quote"d']),
        st.integers(3, 40).map(lambda k: k + 0.5),
        st.booleans(),
    ),
    min_size=2,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(
    rows_of,
    st.sampled_from([(table, ".csv"), (frames, ".extxyz")]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    st.booleans(),
    st.integers(60, 2000),
)
def test_pieces_are_the_file(tmp_path_factory, rows, kind, end, encoding, packed, size):
    make, ending = kind
    folder = tmp_path_factory.mktemp("pieces")
    text = make([(n.replace('"', "").replace(",", "") if make is frames else n, a, bad) for n, a, bad in rows])
    data = text.replace("\n", end).encode(encoding)
    path = folder / f"many{ending}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    cut = check(path, size)
    if end == "\r" or encoding == "utf-16" or (encoding == "utf-8-sig" and make is frames):
        assert cut == 1  # read by one process rather than wrongly


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("make", "ending"), [(table, ".csv"), (frames, ".extxyz")])
def test_a_large_file_is_cut(tmp_path, make, ending, packed):
    rows = [(f"n{k}", 5.5 + k % 30, False) for k in range(300)]
    path = tmp_path / f"many{ending}{'.gz' if packed else ''}"
    data = make(rows).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    size = len(data) // 40
    assert check(path, size) == (pytest.approx(14, abs=2) if packed else pytest.approx(38, abs=3))
    assert plan([path]).items[0].piece == WHOLE, "a file of this size is not worth it"


@pytest.mark.parametrize(("make", "ending"), [(table, ".csv"), (frames, ".extxyz")])
@pytest.mark.parametrize("where", [0.3, 0.9])
def test_a_file_cut_off_is_read_as_far(tmp_path, make, ending, where):
    rows = [(f"n{k}", 5.5 + k % 30, False) for k in range(100)]
    data = make(rows).encode()
    path = tmp_path / f"many{ending}"
    path.write_bytes(data[: int(len(data) * where)])
    assert check(path, 500) > 1


def test_a_blank_line_before_the_header(tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("\n\n" + table([(f"n{k}", 5.5, False) for k in range(20)]))
    assert check(path, 500) > 5
