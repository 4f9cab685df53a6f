"""What every reader must do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import ClassVar

import ase
import numpy as np
import pytest

from crystalcli.contracts.records import Reader
from crystalcli.nouns.structures.entry import Entry
from crystalcli.vocabulary.errors import CrystalError, InputError

FOREIGN = {
    "empty": b"",
    "words": b"data_x\n_cell_length_a 3.0\n# of another program\n",
    "numbers": b"1 2 3\n4 5 6\n",
    "bytes": bytes(range(256)) * 8,
    "json": b'{"a": [1, 2, {"b": null}]}',
}
"""Files with a claimed ending and the content of other programs."""


class ReaderContract:
    """Inherit, name the class ``Test…`` and set ``part``; pytest finds the rest.

    The record's ``example`` writes the file that is read; without one the tests of reading are not run, and say so.
    """

    part: ClassVar[Reader]

    @pytest.fixture
    def example(self, tmp_path: Path) -> Path:
        """A file of the format."""
        if self.part.example is None:
            pytest.skip("not run: the record has no example, a function that writes a small file")
        path = tmp_path / f"example{self.part.suffixes[0]}"
        self.part.example(path)
        assert path.is_file(), "example(path) writes no file"
        return path

    def entries(self, path: Path) -> list[Entry]:
        """All structures of a good file."""
        found = list(self.part.read(path))
        for item in found:
            assert isinstance(item, Entry), f"read gives {type(item).__name__} ({item}), not an Entry"
        return [e for e in found if isinstance(e, Entry)]

    @pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
    @pytest.mark.parametrize("all_suffixes", [False, True], ids=["first", "every"])
    def test_foreign_files(self, tmp_path: Path, content: bytes, all_suffixes: bool) -> None:
        """Sniffing a file of another program is a plain yes or no; reading it is a reasoned error, or structures."""
        for suffix in self.part.suffixes if all_suffixes else self.part.suffixes[:1]:
            path = tmp_path / f"foreign{suffix}"
            path.write_bytes(content)
            answer = self.part.sniff(path)
            assert isinstance(answer, bool | np.bool_), f"sniff gives {answer!r}, not a truth"
            self.read_or_refuse(path)

    def read_or_refuse(self, path: Path) -> None:
        """Reading ends with structures, or with errors that have a reason."""
        problems: list[CrystalError] = []
        try:
            for item in self.part.read(path):
                assert isinstance(item, Entry | InputError), f"read gives {type(item).__name__}"
                problems += [item] if isinstance(item, InputError) else []
        except CrystalError as problem:
            problems.append(problem)
        assert all(p.reason.strip() for p in problems), "an error without a reason"

    def test_sniff_knows_its_own(self, example: Path) -> None:
        """The example is claimed."""
        assert self.part.sniff(example), "sniff does not know the example"

    def test_structures(self, example: Path) -> None:
        """Entries hold structures with finite numbers, unique ids, and say where they come from."""
        found = self.entries(example)
        assert found, "read gives no structure"
        ids = [e.id for e in found]
        assert all(isinstance(i, str) for i in ids), "an id is no text"
        assert len(set(ids)) == len(ids), f"ids are not unique: {ids[:5]}"
        for e in found:
            assert isinstance(e.atoms, ase.Atoms), f"atoms is a {type(e.atoms).__name__}"
            assert len(e.atoms), "a structure without atoms"
            assert np.isfinite(e.atoms.positions).all(), "a position is not finite"
            assert np.isfinite(e.atoms.cell.array).all(), "a cell is not finite"
            assert (e.atoms.numbers > 0).all(), "an atom without an element"
            assert str(e.source).startswith(str(example)), f"source is '{e.source}', which does not name the file"

    def test_labels(self, example: Path) -> None:
        """Labels are numbers, of the structure or of its atoms; tags are texts; nothing is called twice."""
        for e in self.entries(example):
            for name, value in e.labels.items():
                array = np.asarray(value)
                assert array.dtype.kind in "fiub", f"label '{name}' is no number: {value!r}"
            for name, text in e.tags.items():
                assert isinstance(text, str), f"tag '{name}' is {type(text).__name__}, not a text"
            assert not set(e.labels) & set(e.tags), "a name is both label and tag"
            assert set(e.quantities) <= set(e.labels), "quantities name a label that is not there"

    def test_twice(self, example: Path) -> None:
        """Reading again gives the same, and the file is left as it was."""
        before = example.read_bytes()
        one, two = self.entries(example), self.entries(example)
        assert [e.id for e in one] == [e.id for e in two]
        for a, b in zip(one, two, strict=True):
            assert a.atoms == b.atoms, f"'{a.id}' is another structure when it is read again"
        assert example.read_bytes() == before, "reading changes the file"

    def test_workers(self, example: Path) -> None:
        """Entries reach the program from a worker process: they can be pickled."""
        for e in self.entries(example):
            again = pickle.loads(pickle.dumps(e))
            assert again.atoms == e.atoms
            assert again.id == e.id

    def test_truncated(self, example: Path) -> None:
        """Half a file is an error with a reason, or the structures of that half; never anything else."""
        data = example.read_bytes()
        for size in (len(data) // 2, len(data) - 1):
            example.write_bytes(data[:size])
            self.read_or_refuse(example)
