"""A workflow of somebody else: a command like crystal's own, which is killed and goes on."""

from __future__ import annotations

import json

import ase.build
import ase.io
import pytest
from third_party import Environment, install


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install("third-party-workflow", "eos", tmp_path_factory.mktemp("third-party"))


def test_it_is_a_command(installed: Environment) -> None:
    assert "Equations of state for crystal" in installed.crystal("--help").stdout
    assert "eos" not in installed.crystal("--no-plugins --help").stdout
    assert "no such command 'eos'" in installed.crystal("--no-plugins eos --help", code=2).stderr
    shown = installed.crystal("eos --potential lj --help").stdout
    for words in ("--points", "--overwrite", "--sigma", "runs/DATE-eos"):
        assert words in shown
    assert "workflow eos" in installed.crystal("plugins show eos").stdout


def test_its_own_tests(installed: Environment) -> None:
    tests = str(installed.folder.parent / "source" / "tests")
    shown = installed.run("-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tests, tests).stdout
    assert "6 passed" in shown
    assert "failed" not in shown


def test_it_reads_settings_and_reports(installed: Environment) -> None:
    ase.io.write(installed.folder / "Cu.cif", ase.build.bulk("Cu", "fcc", a=3.6))
    (installed.folder / "broken.cif").write_text("data_\n_cell_length_a 3\n")
    (installed.folder / "eos.toml").write_text('[eos]\npotential = "emt"\npoints = 7\n')
    done = installed.crystal("eos Cu.cif broken.cif -c eos.toml -o run --json", code=3)
    report = json.loads(done.stdout)
    (row,) = report["structures"]
    assert row["volume"] == pytest.approx(3.59**3 / 4, rel=0.01)  # EMT's copper: 3.59 Å, 135 GPa
    assert row["bulk_modulus"] == pytest.approx(135, rel=0.02)
    assert report["failed"][0]["id"] == "broken.cif"
    installed.crystal("report run")
    page = (installed.folder / "run" / "report.html").read_text(encoding="utf-8")
    assert all(w in page for w in ("Equations of state", "Fitted curves", f"{row['bulk_modulus']:.1f} GPa"))
    again = installed.crystal("eos Cu.cif broken.cif -c eos.toml -o run", code=3)
    assert "finished before; nothing to do" in again.stdout
    refused = installed.crystal("eos Cu.cif broken.cif -c eos.toml -o run --points 9", code=2)
    assert "holds another run of eos (points differ)" in refused.stderr
    (installed.folder / "eos.toml").write_text("[eos]\npoint = 7\n")
    assert "unknown key 'point'; did you mean 'points'?" in installed.crystal("eos -c eos.toml", code=2).stderr
