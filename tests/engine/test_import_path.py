"""What is taken off the import path, and what stays."""

import os
import sys
from pathlib import Path

import pytest

from crystalcli.engine.run import import_path

LIBRARY = str(Path(os.__file__).parent)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return str(Path.cwd())


@pytest.mark.parametrize("entry", ["", ".", "./", "HERE"])
def test_the_current_folder_is_taken_off(here: str, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    entry = entry.replace("HERE", here)  # as -m and an empty part of PYTHONPATH write it
    monkeypatch.setattr(sys, "path", [entry, "/bin", entry, LIBRARY, "/site", here])
    monkeypatch.setenv("PYTHONPATH", f"{os.pathsep}/lib")
    import_path.leave_out_current_folder()
    assert sys.path == ["/bin", LIBRARY, "/site", here], "what is installed there stays"


def test_its_full_name_counts_as_asked_for(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/bin", here, LIBRARY])
    monkeypatch.setenv("PYTHONPATH", here)
    import_path.leave_out_current_folder()
    assert sys.path == ["/bin", here, LIBRARY]
    assert import_path.for_children() == {"PYTHONSAFEPATH": "1", "PYTHONPATH": here}


@pytest.mark.parametrize(
    ("given", "left"), [(":/lib", "/lib"), (".:/lib:./", "/lib"), ("src", "src"), ("", ""), ("a::b", "a:b")]
)
@pytest.mark.usefixtures("here")
def test_children_get_no_part_that_means_it(monkeypatch: pytest.MonkeyPatch, given: str, left: str) -> None:
    monkeypatch.setenv("PYTHONPATH", given.replace(":", os.pathsep))
    monkeypatch.setenv("PYTHONSAFEPATH", "yes")
    with import_path.left_out_of_children(), import_path.left_out_of_children():
        assert os.environ["PYTHONPATH"] == left.replace(":", os.pathsep)
        assert os.environ["PYTHONSAFEPATH"] == "1"
    assert (os.environ["PYTHONPATH"], os.environ["PYTHONSAFEPATH"]) == (given.replace(":", os.pathsep), "yes")


def test_a_folder_that_is_gone(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(here).rmdir()
    monkeypatch.setattr(sys, "path", ["", "/bin", LIBRARY])
    monkeypatch.setenv("PYTHONPATH", ":/lib")
    import_path.leave_out_current_folder()
    assert sys.path == ["/bin", LIBRARY]
    assert import_path.for_children()["PYTHONPATH"] == "/lib"
