"""What users type for inputs, ids that are kept apart, and the ``id_prop.csv`` convention."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from corpus import NACL

from crystalcli.cli.main import run
from crystalcli.contracts.records import Reader
from crystalcli.engine.read.inputs import expand, meant
from crystalcli.engine.read.reading import ID_IN_FILE, Failure, plan, read_file
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.nouns.structures.entry import Entry
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import Exit, UsageError


@dataclass(frozen=True)
class Offering:
    """A registry of one reader."""

    reader: Reader

    def names(self, family: str) -> list[str]:
        return [self.reader.name] * (family == "reader")

    def get(self, family: str, name: str) -> Reader:
        assert (family, name) == ("reader", self.reader.name)
        return self.reader

    def origin(self, family: str, name: str) -> str:
        assert (family, name) == ("reader", self.reader.name)
        return "of a test"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/NaCl.cif", "a/NaCl.cif", "a/deep/x.cif", "a/.hidden.cif", "c[1].cif", "a/NaCl.vasp", "a/notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(NACL)
    return tmp_path


def names(inputs: list[str]) -> list[str]:
    return [str(p) for p in expand(inputs)]


def test_files_folders_and_globs(folder: Path) -> None:
    assert names(["b/NaCl.cif", "b/NaCl.cif", "b"]) == ["b/NaCl.cif"]
    assert names(["a"]) == ["a/NaCl.cif", "a/NaCl.vasp", "a/deep/x.cif"]
    assert names(["*/*.cif"]) == ["a/NaCl.cif", "b/NaCl.cif"]
    assert names(["**/*.cif"]) == ["a/NaCl.cif", "a/deep/x.cif", "b/NaCl.cif", "c[1].cif"]
    assert names(["c[1].cif"]) == ["c[1].cif"]
    assert names(["none*.cif", "gone.cif"]) == ["none*.cif", "gone.cif"]
    (folder / "empty").mkdir()
    assert names(["empty"]) == ["empty"]
    (failure,) = read_file(Path("empty"))
    assert isinstance(failure, Failure)
    assert "without structure files" in failure.reason


def test_lists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a" / "list.txt").write_text("\ufeffNaCl.cif\r\n\r\nb/NaCl.cif\r\nb\r\n", encoding="utf-8")
    assert names(["@a/list.txt"]) == names(["a/list.txt"]) == ["a/NaCl.cif", "b/NaCl.cif"]
    monkeypatch.setattr("sys.stdin", io.StringIO("a/NaCl.vasp\nb/*.cif\n"))
    assert names(["-"]) == ["a/NaCl.vasp", "b/NaCl.cif"]
    with pytest.raises(UsageError, match="cannot read this list"):
        expand(["@nowhere.txt"])


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("# what to read", []),
        ("   # indented", []),
        ("b/NaCl.cif # the best", ["b/NaCl.cif"]),
        ("b/NaCl.cif\t#the best", ["b/NaCl.cif"]),
        ('"b/NaCl.cif"', ["b/NaCl.cif"]),
        ("'b/NaCl.cif'  # quoted", ["b/NaCl.cif"]),
        ('"b/*.cif"', ["b/NaCl.cif"]),
        ("#1.cif", ["#1.cif"]),
        ("a #2.cif", ["a #2.cif"]),
        ('"odd".cif', ['"odd".cif']),
        ("'q'", ["'q'"]),
        ("gone #3.cif", ["gone"]),
        ("~/home.cif", ["home/home.cif"]),
        ("x#y.cif", ["x#y.cif"]),
    ],
)
def test_comments_and_quotes_in_lists(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, means: list[str]
) -> None:
    monkeypatch.setenv("HOME", "home")
    for name in ("#1.cif", "a #2.cif", '"odd".cif', "'q'", "home/home.cif"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(NACL)
    (folder / "some.list").write_text(f"\n{line}\n")
    assert names(["@some.list"]) == means


def test_files_of_plugin_readers_are_found_in_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(name="mine", summary="", suffixes=(".h5",), sniff=lambda p: p.stem == "md", read=lambda _: iter(()))
    (folder / "run").mkdir()
    for name in ("md.h5", "graphs.h5"):
        (folder / "run" / name).write_bytes(b"")
    monkeypatch.setattr("crystalcli.engine.read.readers.registry", lambda: Offering(reader))
    assert names(["run"]) == ["run/md.h5"]

    def choke(path: Path) -> bool:
        raise RuntimeError(path.name)

    monkeypatch.setattr("crystalcli.engine.read.readers.registry", lambda: Offering(replace(reader, sniff=choke)))
    assert names(["run"]) == ["run/graphs.h5", "run/md.h5"]
    (failure,) = read_file(Path("run/md.h5"))
    assert isinstance(failure, Failure)
    assert "reader 'mine' of plugin of a test was left out: its sniff raises RuntimeError: md.h5" in failure.reason


def test_names_are_kept_apart() -> None:
    paths = [Path(p) for p in ("x/a.cif", "y/a.cif", "y/b.cif", "y/b.vasp", "y/c.cif.gz", "C.cif")]
    assert [item.name for item in plan(paths).items] == ["x/a.cif", "y/a.cif", "b.cif", "b.vasp", "c", "C"]


def test_ids_are_kept_apart(folder: Path) -> None:
    text = f'id,cif\nq,"{NACL}"\nq,"{NACL}"\n'
    (folder / "one.csv").write_text(text)
    (folder / "two.csv").write_text(text)
    entries = [e for e in read_inputs(expand(["one.csv", "two.csv", "b/NaCl.cif"])) if isinstance(e, Entry)]
    assert len({e.id for e in entries}) == len(entries) == 5
    assert [e.id for e in entries][:2] == ["q", "q#2"]
    assert entries[1].tags[ID_IN_FILE] == "q"
    assert [e.source for e in entries] == ["one.csv:2", "one.csv:29", "two.csv:2", "two.csv:29", "b/NaCl.cif"]


def test_id_prop_beside_files(folder: Path) -> None:
    (folder / "b" / "id_prop.csv").write_text("NaCl,1.5\nother,2.5\n")
    notes = plan([Path("b/NaCl.cif")]).notes
    assert "labels from b/id_prop.csv: 2 rows, quantity 'target'" in notes[0]
    assert "1 rows fit no file that was given ('other' on line 2)" in notes[1]
    (entry,) = read_file(Path("b/NaCl.cif"), "b/NaCl.cif")
    assert isinstance(entry, Entry)
    assert entry.labels == {"target": 1.5}
    assert entry.id == "b/NaCl.cif"


def test_id_prop_folder_reports_missing_files(folder: Path) -> None:
    (folder / "b" / "id_prop.csv").write_text("gone,1\nNaCl,2\n../../etc/passwd,3\n")
    (folder / "b" / "unlisted.cif").write_text(NACL)
    assert names(["b"]) == ["b/gone.cif", "b/NaCl.cif", "b/.._.._etc_passwd.cif", "b/unlisted.cif"]
    items = list(read_inputs(expand(["b"])))
    assert [isinstance(i, Failure) for i in items] == [True, False, True, False]
    assert items[1].labels == {"target": 2.0}
    assert items[3].labels == {}


def test_id_prop_with_header_and_leading_zeros(folder: Path) -> None:
    (folder / "007.cif").write_text(NACL)
    (folder / "id_prop.csv").write_text("\ufeffid,band_gap,bulk\r\n007,1.5,\r\n7,2,3\r\n", encoding="utf-8")
    (entry,) = read_file(Path("007.cif"))
    assert isinstance(entry, Entry)
    assert entry.labels == {"band_gap": 1.5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,1\nb,2\na,3\n", ":3: id 'a' was already on line 1"),
        ("a,1\nb,abc\n", ":2: 'abc' is not a number"),
        ("a,1\nb,inf\n", ":2: 'inf' is not a finite number"),
        ("a,1.5 eV\nb,2\n", ":1: '1.5 eV' is not a number (write the number alone"),
        ("a,1_000\nb,2\n", ":1: '1_000' is not a number (no underscores"),
        ("a,1\n\nb,****\n", ":3: '****' is not a number (Fortran prints stars"),
        ("# only\n#comments\n", "holds comments only"),
        ("a;1\nb;2\n", ":1: needs an id and a value, has 'a;1'; columns are separated by commas"),
        ("a,1\n\nb,2,3\n", ":3: has 3 columns, line 1 has 2"),
        ('a,1,5\nb,"2,5",3\n', ":2: '2,5' is not a number"),
        ("", "empty file"),
    ],
)
def test_id_prop_problems_name_their_line(folder: Path, text: str, says: str) -> None:
    (folder / "id_prop.csv").write_text(text)
    with pytest.raises(UsageError) as caught:
        plan([Path("c[1].cif")])
    assert says in str(caught.value)
    assert str(caught.value).startswith("id_prop.csv")
    assert caught.value.exit_code == Exit.USAGE


def test_several_cif_columns(folder: Path) -> None:
    relaxed = NACL.replace("5.64", "5.50")
    (folder / "t.csv").write_text(f'name,cif_raw,cif_relaxed,e,note\nq,"{NACL}","{relaxed}",1e-3,seen\n')
    with pytest.raises(UsageError, match=r"several CIF columns: cif_raw, cif_relaxed; choose one with --cif-column"):
        plan([Path("t.csv")])
    with pytest.raises(UsageError, match="did you mean 'cif_raw'"):
        plan([Path("t.csv")], ReadOptions(cif_column="cif_rw"))
    (entry,) = read_file(Path("t.csv"), options=ReadOptions(cif_column="cif_relaxed"))
    assert isinstance(entry, Entry)
    assert entry.atoms.cell.lengths()[0] == 5.5
    assert (entry.id, entry.labels, entry.tags) == ("q", {"e": 1e-3}, {"note": "seen"})


def test_large_cells_and_missing_values_of_tables(folder: Path) -> None:
    big = NACL.replace("data_NaCl", "data_NaCl\n_note\n;" + "filler \n" * 100_000 + ";")
    (folder / "t.csv").write_text(f'e,split,cif\n,train,"{big}"\nnan,,"{NACL}"\n')
    first, second = read_file(Path("t.csv"))
    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert first.labels == {}
    assert first.tags == {"split": "train"}
    assert first.id == "t:2"
    assert second.labels == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(folder: Path) -> None:
    (folder / "c[1].cif").chmod(0)
    (failure,) = read_file(folder / "c[1].cif")
    assert isinstance(failure, Failure)
    assert "ermission" in failure.reason


def test_one_file_under_several_spellings_is_read_once(folder: Path) -> None:
    (folder / "link.cif").symlink_to("b/NaCl.cif")
    spelled = ["b/NaCl.cif", "./b/NaCl.cif", "a/../b/NaCl.cif", str(folder / "b" / "NaCl.cif"), "link.cif"]
    assert names(spelled) == ["b/NaCl.cif", "link.cif"]


def test_names_that_are_no_unicode_can_be_stored(tmp_path: Path) -> None:
    good, bad = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.cif")), tmp_path / os.fsdecode(b"\xfe.cif")
    good.write_text(NACL)
    bad.write_text("nothing")
    (entry,), (failure,) = read_file(good), read_file(bad)
    assert isinstance(entry, Entry)
    assert entry.id == r"\udcff"
    assert entry.source == str(tmp_path / r"\udcff.cif")
    assert isinstance(failure, Failure)
    assert failure.id == r"\udcfe"
    for text in (entry.id, entry.source, failure.path, failure.id):
        text.encode()


@pytest.mark.parametrize(
    ("text", "reason"), [("", "is empty; . is this folder"), ("a\0b.cif", "NUL"), ("@self.txt", "back to itself")]
)
def test_names_that_are_none(folder: Path, text: str, reason: str) -> None:
    (folder / "self.txt").write_text("b/NaCl.cif\n@other.txt\n")
    (folder / "other.txt").write_text("self.txt\n")
    (folder / "nul.txt").write_text("a\0b.cif\n")
    with pytest.raises(UsageError, match=reason):
        expand([text])
    with pytest.raises(UsageError, match=r"nul\.txt: the name of an input holds a NUL"):
        expand(["@nul.txt"])


def test_a_list_of_nothing_is_refused_by_every_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.txt").write_text("# none\n")
    name = str(tmp_path / "empty.txt")
    for words in (["potential", "check", "lj", name], ["relax", name, "--potential", "lj"], ["pairs", name]):
        assert run(words) == 2
        assert f"error: {name}: no input files\n" in capsys.readouterr().err
    assert meant([]) == []


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("fault", [RuntimeError("boom\nline"), SystemExit(9), MemoryError(), OSError(5, "I/O")])
def test_whatever_a_reader_does_costs_its_file_only(monkeypatch: pytest.MonkeyPatch, fault: BaseException) -> None:
    def read(_: Path) -> Iterator[Entry]:
        raise fault

    reader = Reader(name="mine", summary="", suffixes=(".vasp",), sniff=lambda _: True, read=read)
    monkeypatch.setattr("crystalcli.engine.read.readers.registry", lambda: Offering(reader))
    found = list(read_inputs([Path("a/NaCl.vasp"), Path("a/NaCl.cif")]))
    assert [type(f) for f in found] == [Failure, Entry]
    assert "\n" not in str(found[0])


@pytest.mark.parametrize("name", ["a.json", "POSCAR", "many.cif"])
def test_what_is_too_large_to_be_read_as_a_whole_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("crystalcli.nouns.structures.text.MAX_TEXT", 2**20)
    (tmp_path / name).write_text(" " * (2**20 + 1))
    (problem,) = read_file(tmp_path / name)
    assert isinstance(problem, Failure)
    assert problem.reason.startswith("larger than 1 MB, which is read as a whole; split it, or write extended XYZ")


def test_backups_in_a_folder_are_left_out_and_said(tmp_path):
    for name in ("POSCAR", "POSCAR.bak", "CONTCAR~", "OUTCAR.old", "POSCAR.orig", "POSCAR_2", "notes.bak"):
        (tmp_path / name).write_text("vasp\n")
    with pytest.warns(
        UserWarning, match=r"4 backup files are left out \(CONTCAR~, OUTCAR.old, POSCAR.bak and 1 more\)"
    ):
        found = expand([str(tmp_path)])
    assert [p.name for p in found] == ["POSCAR", "POSCAR_2"]
    assert [p.name for p in expand([str(tmp_path / "POSCAR.bak")])] == ["POSCAR.bak"]


def test_a_file_of_another_program_is_refused_with_a_cure(tmp_path):
    (tmp_path / "pw.out").write_text("Program PWSCF")
    (failure,) = read_file(tmp_path / "pw.out")
    assert "; of another program: 'ase convert pw.out pw.extxyz' makes one that is read" in failure.reason
    for name, said in (("a.cif.bz2", "unpack it first"), ("data.lmp", "its types are no elements")):
        (tmp_path / name).write_text("x")
        (failure,) = read_file(tmp_path / name)
        assert said in failure.reason
