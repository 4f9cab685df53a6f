"""Files of finished shards that somebody or a disk has damaged: relaxed again, said, and never taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ase.build
import ase.io
import pytest

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Chosen, Request
from crystalcli.engine.host import life
from crystalcli.relax.options import SHARDS, STRUCTURES, TABLE, RelaxOptions
from crystalcli.relax.workflow import RELAX
from crystalcli.vocabulary.errors import Stopped

Damage = Callable[[bytes], bytes]


class AfterTwo:
    """Asks to stop when two shards are there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / SHARDS

    def reason(self) -> str:
        return "a test" if self.folder.is_dir() and len(list(self.folder.iterdir())) == 2 else ""


@pytest.fixture
def metals(tmp_path: Path) -> Path:
    made = [ase.build.bulk(m, "fcc", a=a, cubic=True) for m, a in (("Cu", 3.6), ("Al", 4.1), ("Ni", 3.5))]
    for k, atoms in enumerate(made):
        atoms.rattle(0.05, seed=k)
    ase.io.write(tmp_path / "metals.extxyz", made)
    return tmp_path / "metals.extxyz"


def asked(metals: Path, folder: Path) -> Request:
    options = RelaxOptions(structures=(str(metals),), potential="emt", batch_size=1)
    return Request(options, {"potential": Chosen("emt")}, folder)


DAMAGES: dict[str, Damage] = {
    "truncated": lambda data: data[: len(data) // 2],
    "zeroed tail": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "a bit": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "empty": lambda _data: b"",
    "twice": lambda data: data + b"\n" + data,
    "other types": lambda _data: b"[1, 2]",
    "no UTF-8": lambda data: data[:50] + b"\xff\xfe" + data[52:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_shard_is_relaxed_again(metals: Path, tmp_path: Path, damage: Damage) -> None:
    life.run(RELAX, asked(metals, tmp_path / "whole"))
    run, said = tmp_path / "run", list[str]()
    with pytest.raises(Stopped):
        life.run(RELAX, asked(metals, run), stop=AfterTwo(run))
    shard = run / SHARDS / "000001.json"
    shard.write_bytes(damage(shard.read_bytes()))
    life.run(RELAX, asked(metals, run), Host(warn=said.append))
    assert said == [f"{shard}: is damaged; its structures are relaxed again"]
    for name in (STRUCTURES, TABLE):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_shard_of_others_does_not_count(metals: Path, tmp_path: Path) -> None:
    """A file that was copied to another's name is whole, and of other structures."""
    life.run(RELAX, asked(metals, tmp_path / "whole"))
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        life.run(RELAX, asked(metals, run), stop=AfterTwo(run))
    (run / SHARDS / "000001.json").write_bytes((run / SHARDS / "000000.json").read_bytes())
    life.run(RELAX, asked(metals, run))
    for name in (STRUCTURES, TABLE):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
