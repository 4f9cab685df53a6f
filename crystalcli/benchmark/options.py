"""What ``crystal benchmark`` asks: every option once, for flags, TOML, run.json and help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import formats

FOLDS, FILES = "Folds", "Files (of structures, for which graphs are built)"
FREE = frozenset({"arch", "published", "threads", "device", "pictures", "jobs"})
"""May differ when a benchmark goes on: another architecture is trained beside those that are done."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Everything that ``crystal benchmark`` asks.

    Raises:
        UsageError: no such format of pictures.
    """

    files: tuple[str, ...] = option((), f"structures with labels ({common.STRUCTURES}), or graph caches", argument=True)
    arch: tuple[str, ...] = option(
        (),
        "architecture, with options of it, its head, its featurizer or its training; several times for several",
        metavar="NAME[:OPTION=VALUE,…]",
        names="architecture",
    )
    target: tuple[str, ...] = option((), "label to learn: [NAME=]KEY[/atom|*atoms][:UNIT]; several times for several")
    task: Literal["auto", "regression", "classification"] = option(
        "auto", "auto: words are classes, numbers are numbers; classification: whole numbers are classes"
    )
    published: tuple[str, ...] = option(
        (),
        "label that holds somebody else's predictions, each made without its structure: scored on the same test parts",
        metavar="KEY",
    )
    baseline: tuple[str, ...] = option(
        (), "fit this in every fold, too: krr, boosting, as for crystal train", metavar="NAME[:OPTION=VALUE,…]"
    )
    epochs: int | None = option(None, "epochs of all; default: what suits each architecture", min=1)
    ensemble: int = option(0, "each training is an ensemble of so many members; 0: one model", min=0)
    fold_column: str = option("", "label or text column that says which fold tests a structure", panel=FOLDS)
    folds: int = option(0, "deal so many folds, as crystal train --folds does", min=0, panel=FOLDS)
    matbench_folds: Path | None = option(
        None, "the folds of Matbench: matbench_v0.1_validation.json", metavar="FILE", panel=FOLDS
    )
    matbench_task: str = option("", "task in that file; default: the one whose ids the structures have", panel=FOLDS)
    allow_missing: bool = option(False, "leave out ids of that file that no structure has", panel=FOLDS)
    group: str = option(
        "", "column whose equal values stay together; default: by formula, as crystal train", panel=FOLDS
    )
    validation: float = option(
        0.1, "share of the structures outside a fold that chooses the epoch", min=0.0, max=0.9, panel=FOLDS
    )
    cif_column: str = common.cif_column(FILES)
    id_column: str = common.id_column(FILES)
    jobs: int = common.readers()
    seed: int = common.seed()
    device: str = common.device()
    threads: int = common.threads()
    pictures: str = common.pictures()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", ",".join(formats(self.pictures)))

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: says what.
        """
        if not self.files:
            raise UsageError("name the structures, or the graph caches: crystal benchmark FILE … --folds 5")
        ways = {
            "--fold-column": bool(self.fold_column),
            "--folds": self.folds > 0,
            "--matbench-folds": self.matbench_folds is not None,
        }
        said = [name for name, is_asked in ways.items() if is_asked]
        if not said:
            raise UsageError("say what the folds are: --fold-column NAME, --folds 5 or --matbench-folds FILE")
        if len(said) > 1:
            raise UsageError(f"{said[0]} and {said[1]} both say what the folds are; give one of them")
        if self.folds == 1:
            raise UsageError("--folds 1 leaves nothing to train on; two folds or more")
        if (self.matbench_task or self.allow_missing) and self.matbench_folds is None:
            flag = "--matbench-task" if self.matbench_task else "--allow-missing"
            raise UsageError(f"{flag} is about the folds of Matbench; add --matbench-folds FILE")
        if self.ensemble == 1:
            raise UsageError("an ensemble has two members or more")
        if self.published and len(self.target) > 1:
            raise UsageError("--published is about one target; this benchmark has several")
