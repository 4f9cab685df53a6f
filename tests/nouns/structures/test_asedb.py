"""Reading a database changes nothing: not the database, and no file that a journal beside it names."""

import contextlib
import struct
from pathlib import Path

import ase.build
import ase.db
import pytest

from crystalcli.nouns.structures import asedb
from crystalcli.vocabulary.errors import InputError

MAGIC = bytes.fromhex("d9d505f920a163d7")


def journal(database: bytes, names: bytes) -> bytes:
    """The journal of a transaction that was cut off, part of a larger one whose own journal has this name.

    SQLite rolls such a transaction back and deletes the file of that name.
    """
    page = struct.unpack(">H", database[16:18])[0]
    head = (MAGIC + struct.pack(">IIIII", 0, 0, len(database) // page, 512, page)).ljust(512, b"\0")
    place = struct.pack(">I", 0x40000000 // page + 1)
    return head + place + names + struct.pack(">II", len(names), sum(names)) + MAGIC


@pytest.mark.parametrize("beside", ["journal", "wal"])
def test_a_journal_beside_a_database_is_not_obeyed(tmp_path: Path, beside: str) -> None:
    path, victim = tmp_path / "a.db", tmp_path / "victim.txt"
    victim.write_text("precious")
    with ase.db.connect(path) as database:
        database.write(ase.build.bulk("Cu"))
    before = path.read_bytes()
    more = journal(before, str(victim).encode()) if beside == "journal" else b"no log at all"
    (tmp_path / f"a.db-{beside}").write_bytes(more)
    with pytest.raises(InputError) if beside == "journal" else contextlib.nullcontext():
        assert len(list(asedb.read(path))) == 1
    assert victim.read_text() == "precious"
    assert path.read_bytes() == before
