"""``id_prop.csv`` as people and programs write it: read with the right values, or refused with its line."""

from pathlib import Path

import ase.build
import ase.io
import pytest
from corpus import NACL

from crystalcli.engine.read.inputs import expand
from crystalcli.engine.read.reading import Failure, plan, read_file
from crystalcli.nouns.structures import id_prop
from crystalcli.nouns.structures.read_options import UNLABELLED, ReadOptions
from crystalcli.vocabulary.errors import UsageError

LEGAL = {
    "plain": ("a,1.5\nb,2\n", {"a": 1.5, "b": 2.0}),
    "fortran": ("a,1.5D+00\nb,0.2d1\n", {"a": 1.5, "b": 2.0}),
    "nan": ("a,nan\nb,2\n", {"b": 2.0}),
    "none": ("a,None\nb,2\n", {"b": 2.0}),
    "question": ("a,?\nb,2\n", {"b": 2.0}),
    "not_available": ("a,N/A\nb,2\n", {"b": 2.0}),
    "empty": ("a,\nb,2\n", {"b": 2.0}),
    "null_of_pandas": ("a,<NA>\nb,NULL\n", {}),
    "spaces": (" a , 1.5 \n b , 2 \n", {"a": 1.5, "b": 2.0}),
    "blank_lines": ("\na,1.5\n\n\nb,2\n\n", {"a": 1.5, "b": 2.0}),
    "comments": ("# my table\na,1.5\n# in between\nb,2\n", {"a": 1.5, "b": 2.0}),
    "quoted": ('"a","1.5"\n"b","2"\n', {"a": 1.5, "b": 2.0}),
    "crlf": ("a,1.5\r\nb,2\r\n", {"a": 1.5, "b": 2.0}),
    "marked": ("\ufeffa,1.5\nb,2\n", {"a": 1.5, "b": 2.0}),
    "tabs": ("a\t1.5\nb\t2\n", {"a": 1.5, "b": 2.0}),
    "blanks": ("a 1.5\nb   2\n", {"a": 1.5, "b": 2.0}),
    "blanks_and_missing": ("a 1.5\nb nan\n", {"a": 1.5}),
    "blanks_and_header": ("id gap\na 1.5\nb 2\n", {"a": 1.5, "b": 2.0}),
    "endings": ("a.cif,1.5\nb.cif,2\n", {"a": 1.5, "b": 2.0}),
    "here": ("./a.cif,1.5\n./b,2\n", {"a": 1.5, "b": 2.0}),
    "another_case": ("A,1.5\nB.CIF,2\n", {"a": 1.5, "b": 2.0}),
    "header": ("id,gap\na,1.5\nb,2\n", {"a": 1.5, "b": 2.0}),
    "pandas": (",id,gap\n0,a,1.5\n1,b,2\n", {"a": 1.5, "b": 2.0}),
    "pandas_unnamed": ("Unnamed: 0,id,gap\n0,a,1.5\n1,b,2\n", {"a": 1.5, "b": 2.0}),
    "running_numbers": ("0,a,1.5\n1,b,2\n", {"a": 1.5, "b": 2.0}),
    "running_from_one": ("1,a,1.5\n2,b,\n", {"a": 1.5}),
    "comma_at_the_end": ("a,1.5,\nb,2,\n", {"a": 1.5, "b": 2.0}),
    "commas_at_the_end": ("id,gap,,\na,1.5,,\nb,2, ,\n", {"a": 1.5, "b": 2.0}),
    "comma_and_missing": ("a,1.5,\nb,,\n", {"a": 1.5}),
    "ids_only": ("a\nb\n", {}),
    "ids_with_header": ("id\na\nb\n", {}),
    "one_id": ("a\n", {}),
}
BROKEN = {
    "word": ("a,1\nb,high\n", ":2: 'high' is not a number; write classes as whole numbers"),
    "unit": ("a,1.5 eV\nb,2\n", ":1: '1.5 eV' is not a number (write the number alone"),
    "spreadsheet": ("a;1,5\nb;2,0\n", ":1: needs an id and a value, has 'a;1,5'; separate columns by commas, and"),
    "decimal_comma": ('a,"1,5"\nb,"2,0"\n', ":1: '1,5' is not a number (a decimal comma"),
    "infinite": ("a,1\nb,-inf\n", ":2: '-inf' is not a finite number"),
    "one_short": ("a,1\nb\n", ":2: needs an id and a value, has 'b'"),
    "one_long": ("a\nb,1\n", ":2: has 2 columns, line 1 has 1"),
    "semicolons": ("a;1\nb;2\n", ":1: needs an id and a value, has 'a;1'; columns are separated by commas"),
    "id_twice": ("a,1\na,2\n", ":2: id 'a' was already on line 1"),
    "one_file_twice": ("a,1\nb,2\na.cif,3\n", ":3: id 'a.cif' means the same file as that on line 1"),
    "one_file_twice_here": ("./a,1\na,1\nb,2\n", ":2: id 'a' means the same file as that on line 1"),
    "class_in_the_first_line": ("a,metal\nb,2\n", ":1: 'metal' is not a number; write classes as whole numbers"),
    "stars": ("a,1\n#b\nb,*****\n", ":3: '*****' is not a number (Fortran"),
}


def folder_of(tmp_path: Path, text: str) -> list[Path]:
    for name in ("a.cif", "b.cif"):
        (tmp_path / name).write_text(NACL)
    (tmp_path / "id_prop.csv").write_text(text, encoding="utf-8")
    return expand([str(tmp_path)])


def labels_of(paths: list[Path], options: ReadOptions) -> dict[str, float]:
    entries = [e for p in paths for e in read_file(p, options=options)]
    assert not [e for e in entries if isinstance(e, Failure)]
    return {e.id: value for e in entries for value in e.labels.values()}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_tables(name: str, tmp_path: Path) -> None:
    text, values = LEGAL[name]
    paths = folder_of(tmp_path, text)
    assert [p.name for p in paths] == ["a.cif", "b.cif"]
    assert plan(paths).warnings == ()
    assert labels_of(paths, ReadOptions()) == values
    notes = plan(paths).notes
    assert len(notes) == 1, notes
    assert ("a list of" in notes[0]) == (name.startswith(("ids", "one_id")))
    assert ("lack a value" in notes[0]) == (len(values) < 2 and "a list of" not in notes[0])


@pytest.mark.parametrize("name", BROKEN)
def test_broken_tables_stop_only_what_needs_them(name: str, tmp_path: Path) -> None:
    text, says = BROKEN[name]
    paths = folder_of(tmp_path, text)
    assert [p.name for p in paths] == ["a.cif", "b.cif"], "the files are there whatever the table says"
    with pytest.raises(UsageError) as caught:
        plan(paths)
    assert says in str(caught.value)
    with pytest.raises(UsageError):
        list(read_file(paths[0]))
    welcome = ReadOptions(labels="welcome")
    assert says in plan(paths, welcome).warnings[0]
    assert labels_of(paths, welcome) == labels_of(paths, UNLABELLED) == {}
    assert plan(paths, UNLABELLED) == plan(paths, UNLABELLED).__class__(plan(paths, UNLABELLED).items)


def test_a_table_that_is_not_wanted_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = folder_of(tmp_path, "a,1\n")

    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(id_prop, "load", refuse)
    assert plan(paths, UNLABELLED).notes == ()
    assert labels_of(paths, UNLABELLED) == {}


def test_an_id_in_another_case_never_takes_the_place_of_the_right_one(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, "A,1.5\nb,2\n")
    (tmp_path / "A.cif").write_text(NACL)
    paths = expand([str(tmp_path)])
    assert labels_of(paths, ReadOptions()) == {"A": 1.5, "b": 2.0}
    (tmp_path / "id_prop.csv").write_text("a,1\nA,2\n")
    assert labels_of([tmp_path / "a.cif", tmp_path / "A.cif", tmp_path / "b.cif"], ReadOptions()) == {"a": 1, "A": 2}


def test_rows_without_a_file_are_failures_and_never_paths_elsewhere(tmp_path: Path) -> None:
    paths = folder_of(tmp_path, "a,1\ngone,2\nlost.cif,3\n./../up,4\n")
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == [
        "a.cif",
        "gone.cif",
        "lost.cif",
        ".._up.cif",
        "b.cif",
    ]
    assert "1 rows fit no file that was given ('./../up' on line 4" in plan(paths).notes[1]


def test_files_of_one_stem_may_have_rows_each(tmp_path: Path) -> None:
    folder_of(tmp_path, "a,1.5\na.vasp,2.5\n")
    ase.io.write(tmp_path / "a.vasp", ase.build.bulk("Cu"))
    assert len(id_prop.load(tmp_path / "id_prop.csv").rows) == 2


def test_an_id_in_another_case_means_one_file_or_none(tmp_path: Path) -> None:
    folder_of(tmp_path, "nacl,1.5\nb,2\nKCL,3\n")
    for name in ("NaCl.cif", "NACL.cif", "KCl.cif", "KCl.vasp"):
        (tmp_path / name).write_text(NACL)
    paths = expand([str(tmp_path)])
    assert {p.name for p in paths} == {"NaCl.cif", "NACL.cif", "KCl.cif", "KCl.vasp", "a.cif", "b.cif"}
    labels = labels_of([p for p in paths if p.suffix == ".cif"], ReadOptions())
    assert {k: v for k, v in labels.items() if k in ("NaCl", "NACL", "KCl", "b")} == {"KCl": 3.0, "b": 2.0}
    said = plan(paths).notes
    assert said[1].endswith(
        "id_prop.csv:1: id 'nacl' means none of NACL, NaCl: they differ in case only; write it as the file is called"
    )
    assert len(said) == 2


def test_rows_of_structures_in_a_file(tmp_path: Path) -> None:
    """They are called FILE:BLOCK, and are no files; a row called as the file does not say which of several it means."""
    folder_of(tmp_path, "a,1\nb,2\n")
    blocks = [f"data_{name}{NACL[NACL.index(chr(10), NACL.index('data_')) :]}" for name in ("one", "two")]
    (tmp_path / "multi.cif").write_text("\n".join(blocks))
    (tmp_path / "id_prop.csv").write_text("a,1\nb,2\nmulti:two,3\n")
    paths = expand([str(tmp_path)])
    assert {p.name for p in paths} == {"a.cif", "b.cif", "multi.cif"}
    assert len(plan(paths).notes) == 1
    found = {e.id: e.labels.get("target") for p in paths for e in read_file(p) if not isinstance(e, Failure)}
    assert found == {"a": 1.0, "b": 2.0, "multi:one": None, "multi:two": 3.0}
    (tmp_path / "id_prop.csv").write_text("a,1\nb,2\nmulti,8.25\n")
    said = [e.warnings for e in read_file(tmp_path / "multi.cif") if not isinstance(e, Failure)]
    assert said[0][0].startswith("id_prop.csv:3: row 'multi' is of one structure, multi.cif holds several")
    assert said[0][0].endswith("its rows are called like 'multi:one'")
    assert said[1] == ()


def frames_in(folder: Path, file: str, *ids: str) -> None:
    frames = [ase.build.bulk("Cu"), ase.build.bulk("NaCl", "rocksalt", a=5.64)]
    for atoms, name in zip(frames, ids, strict=False):
        atoms.info["id"] = name
    ase.io.write(folder / file, frames)


def test_rows_of_frames_by_number_and_by_their_own_ids(tmp_path: Path) -> None:
    """``FILE:FRAME``, ``FILE.extxyz:FRAME`` as messages write it, and the frame's own id, which is no missing file."""
    folder_of(tmp_path, "run:0,1\nother.extxyz:1,2\nn0,3\na,4\nb,5\nlost.cif,6\nn7,7\n")
    frames_in(tmp_path, "run.extxyz")
    frames_in(tmp_path, "other.extxyz")
    frames_in(tmp_path, "named.extxyz", "n0", "n1")
    paths = expand([str(tmp_path)])
    assert {p.name for p in paths} == {
        "a.cif", "b.cif", "run.extxyz", "other.extxyz", "named.extxyz", "lost.cif"
    }  # fmt: skip
    found = {e.id: e.labels.get("target") for p in paths for e in read_file(p) if not isinstance(e, Failure)}
    assert {k: v for k, v in found.items() if v} == {"run:0": 1, "other:1": 2, "n0": 3, "a": 4, "b": 5}
    said = plan(paths).notes[1]
    assert "2 rows fit no file that was given ('n0' on line 3, 'n7' on line 7); they count where structures in" in said
    assert said.endswith("named.extxyz, other.extxyz, run.extxyz are called so")


def test_files_of_one_structure_leave_missing_rows_failures(tmp_path: Path) -> None:
    folder_of(tmp_path, "one,1\ngone,2\n")
    ase.io.write(tmp_path / "one.extxyz", ase.build.bulk("Cu"))
    (tmp_path / "atom_init.json").write_text('{"1": [0, 1]}')
    assert {p.name for p in expand([str(tmp_path)])} == {"one.extxyz", "gone.cif", "a.cif", "b.cif"}


def test_tables_of_two_folders_name_frames_of_files_that_are_called_alike(tmp_path: Path) -> None:
    """Structures are then called by the folder, too; rows are as in a folder alone."""
    for k, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        frames_in(tmp_path / name, "run.extxyz")
        (tmp_path / name / "id_prop.csv").write_text(f"run:0,{k + 1}\n")
    items = plan(expand([str(tmp_path / "a"), str(tmp_path / "b")])).items
    found = {e.id: dict(e.labels) for i in items for e in read_file(*i) if not isinstance(e, Failure)}
    assert found == {
        "a/run.extxyz:0": {"target": 1.0}, "a/run.extxyz:1": {}, "b/run.extxyz:0": {"target": 2.0}, "b/run.extxyz:1": {}
    }  # fmt: skip


def test_what_lies_below_a_folder_with_a_table_is_left_out_with_a_word(tmp_path: Path) -> None:
    folder_of(tmp_path, "a,1\nb,2\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.cif").write_text(NACL)
    with pytest.warns(UserWarning, match=r"1 structure files in folders below it are left out \(.*more\); name these"):
        assert {p.name for p in expand([str(tmp_path)])} == {"a.cif", "b.cif"}
