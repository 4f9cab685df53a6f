"""What the files are asked for, and that they have it: seen before any graph is made, which takes far longer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.engine.labels import label_requests, labels
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.read.reading import Failure
from crystalcli.engine.read.supervised_reading import read_inputs
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import NothingUsable, UsageError, did_you_mean


def labels_asked(o: BenchmarkOptions) -> tuple[str, ...]:
    """Labels that are taken from the files, as for ``crystal build-graphs --targets``."""
    return (*o.target, *o.published, *([o.fold_column] if o.fold_column else []))


def choices(o: BenchmarkOptions) -> ReadOptions:
    """How the files are read."""
    return ReadOptions(cif_column=o.cif_column, id_column=o.id_column)


def refuse_missing(paths: Sequence[Path], o: BenchmarkOptions) -> None:
    """Read structures until every label and column that is asked for was seen: as a rule one.

    Raises:
        UsageError: a label or text column that no structure has. NothingUsable: no structure at all.
    """
    requests = label_requests.parse(labels_asked(o)) or ()
    wanted = {r.key: {r.key, r.text} for r in requests}
    group, seen, failed = o.group, list[Labelled](), list[Failure]()
    for item in read_inputs(paths, choices(o)):
        if isinstance(item, Failure):
            failed.append(item)
            continue
        seen.append(Labelled.of(item))
        wanted = {key: names for key, names in wanted.items() if not names & {*item.labels, *item.tags}}
        group = "" if group in item.tags else group
        if not wanted and not group:
            return
    if not seen:
        raise NothingUsable(f"no structure can be used; {failed[0] if failed else 'the files hold none'}")
    if wanted:
        _refuse(seen, requests, o.fold_column)
    if group:
        known = list({tag for one in seen for tag in one.tags})
        cure = did_you_mean(group, known)
        if any(group in one.labels for one in seen):
            cure = f"of a column of numbers: crystal build-graphs --targets …,{group}, then the benchmark of the graphs"
        raise UsageError(f"no structure has a text column '{group}' for --group; {cure}")


def _refuse(seen: Sequence[Labelled], requests: Sequence[label_requests.LabelRequest], column: str) -> None:
    """Say what labels there are, in the words of the build."""
    try:
        labels.columns(seen, requests)
    except UsageError as problem:
        if not column or f"'{column}'" not in problem.reason:
            raise
        said = f"{problem.reason}; --fold-column names one of these, or a text column, which none of them is"
        raise UsageError(said, path=problem.path, code=problem.code) from problem
