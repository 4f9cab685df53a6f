"""Tables with several CIF columns: every one that a screening reads has a way to choose one, and is told of by it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import ase
import pytest
from common import some_campaign
from pymatgen.io.ase import AseAtomsAdaptor
from screen.test_screening_one_plan import model, screened  # noqa: F401 - a fixture

from crystalcli.contracts.host import Host
from crystalcli.contracts.request import Request
from crystalcli.screen.options import Outside, ScreenOptions
from crystalcli.screen.outside import OutsideWorker
from crystalcli.screen.plan import StagePlan
from crystalcli.screen.run import Screening
from crystalcli.screen.stage_results import Structure
from crystalcli.vocabulary.errors import UsageError

SALT = [ase.Atoms(f"{a}Cl", positions=[[0, 0, 0], [2.8, 0, 0]], cell=[5.6, 4, 4], pbc=True) for a in ("Na", "K")]


def table(path: Path, structures: Sequence[ase.Atoms], *columns: str) -> Path:
    """The structures in every one of ``columns``, in each a little larger than in the last."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "code", *columns, "e"])
        for k, atoms in enumerate(structures):
            texts = []
            for n, _ in enumerate(columns):
                larger = atoms.copy()
                larger.set_cell(atoms.cell * (1 + 0.02 * n), scale_atoms=True)
                texts.append(AseAtomsAdaptor.get_structure(larger).to(fmt="cif"))
            writer.writerow([f"n{k}", f"c{k}", *texts, -0.5])
    return path


TWO = ("cif_start", "cif_end")


def test_a_screening_in_one_step_has_the_flag_that_it_names(model: Path, tmp_path: Path) -> None:  # noqa: F811
    candidates = table(tmp_path / "candidates.csv", SALT, *TWO)
    asked = {"candidates": (str(candidates),), "model": model}
    with pytest.raises(UsageError, match=r"candidates.csv: several CIF columns: .*; choose one with --cif-column"):
        screened(tmp_path / "none", **asked)
    asked |= {"cif_column": "cif_end", "id_column": "code"}
    work = Screening(Request(ScreenOptions(**asked), path=tmp_path / "a"), Host())
    assert list(work.found.candidates.amounts) == ["c0", "c1"]
    assert work.found.candidates.structure("c0").atoms.cell[0, 0] == pytest.approx(5.6 * 1.02)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (TWO, ""),
        (("cif",), ""),  # has but one, of another name
        (
            ("cif_a", "cif_b"),
            "references.csv: several CIF columns: .* with --cif-column, for candidates and references",
        ),
    ],
)
def test_references_are_read_by_the_column_of_the_candidates_if_they_have_it(
    columns: tuple[str, ...],
    said: str,
    model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    candidates = table(tmp_path / "candidates.csv", SALT, *TWO)
    references = table(tmp_path / "references.csv", SALT, *columns)
    asked = {"candidates": (str(candidates),), "model": model, "cif_column": "cif_end"}
    asked |= {"references": (str(references),), "reference_label": "e"}
    request = Request(ScreenOptions(**asked), path=tmp_path / "run")  # type: ignore[arg-type]
    if said:
        with pytest.raises(UsageError, match=said):
            Screening(request, Host())
    else:
        assert [p.energy for p in Screening(request, Host()).found.phases] == [-0.5, -0.5]


def test_columns_are_for_tables() -> None:
    with pytest.raises(UsageError, match=r"--cif-column: of tables .*; without --model candidates are a graph cache"):
        Screening(Request(ScreenOptions(cif_column="cif_end")), Host())


@pytest.mark.parametrize(
    ("head", "references", "said"),
    [
        ("", "", "candidates.csv: several CIF columns: .*; choose one with cif_column in the plan"),
        (
            'cif_column = "cif_end"',
            "",
            r"phases.csv: several CIF columns: .*; choose one with cif_column in \[references\]",
        ),
        ('cif_column = "cif_end"', 'cif_column = "cif_ende"', "no column 'cif_ende'; did you mean 'cif_end'"),
        ('cif_column = "cif_end"', "cif_column = 1", r"\[references\] cif_column must be a text"),
        ('cif_column = "cif_end"', 'cif_column = "cif_end"', ""),
    ],
)
def test_a_plan_names_the_columns_of_its_tables(head: str, references: str, said: str, tmp_path: Path) -> None:
    plan = some_campaign.write(tmp_path, head=f"train = 12\n{head}")
    candidates = table(tmp_path / "candidates.csv", some_campaign.alloys(14), *TWO)
    phases = table(tmp_path / "phases.csv", some_campaign.alloys(2), *TWO)
    more = f'[references]\nphases = "{phases}"\nlabel = "e"\n{references}\n'
    text = plan.read_text().replace("[references]\n", more)
    plan.write_text(text.replace(str(tmp_path / "candidates.extxyz"), str(candidates)))
    request = Request(ScreenOptions(campaign=plan), path=tmp_path / "run")
    if said:
        with pytest.raises(UsageError, match=said):
            Screening(request, Host())
    else:
        assert len(Screening(request, Host()).found.phases) == 2


@pytest.mark.parametrize("column", ["", "cif_end"])
def test_results_that_people_bring_may_be_such_a_table(column: str, tmp_path: Path) -> None:
    results = table(tmp_path / "results.csv", SALT, *TWO)
    stage = StagePlan("dft", 1.0, "outside", (), Outside(energy="e", results=str(results), cif_column=column))
    worker = OutsideWorker(stage, tmp_path, ["n0", "n1"], counted=True)
    run = type("Run", (), {"reporter": Host(), "resumed": False})
    work = worker.work("task", iter([(f"n{k}", [Structure(f"n{k}", a)]) for k, a in enumerate(SALT)]), run)  # type: ignore[arg-type]
    if not column:
        with pytest.raises(UsageError, match="choose one with cif_column in stage 'dft'"):
            list(work)
    else:
        assert [r.energy for _, (r,) in work] == [-0.5, -0.5]
