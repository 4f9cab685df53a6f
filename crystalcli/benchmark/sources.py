"""Where the data are: in graph caches that the user has, or in structures, whose graphs are built into the run.

Each architecture is given graphs as its featurizer makes them; those that are made alike are built once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crystalcli.benchmark.columns import choices, labels_asked, refuse_missing
from crystalcli.benchmark.entrants import Entrant
from crystalcli.benchmark.folds import split_file
from crystalcli.benchmark.options import BenchmarkOptions
from crystalcli.contracts.workflow import Run
from crystalcli.engine.cache.cache import GraphRecipe
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.labels import label_requests
from crystalcli.engine.labels.label_requests import LabelRequest
from crystalcli.engine.read.inputs import about, expand
from crystalcli.engine.run.places import Place
from crystalcli.graphs import build
from crystalcli.graphs.plan import BuildPlan, BuildReport, Resolved
from crystalcli.graphs.resolving import resolve
from crystalcli.prediction.reading import is_cache
from crystalcli.vocabulary.errors import NothingUsable, UsageError

GRAPHS = "graphs-"
"""Begins the names of the caches that are built."""


class Sources:
    """The files of a benchmark.

    Args:
        o: what is asked.
        entrants: what is compared.
        folder: of the run.

    Raises:
        UsageError: caches and structures, options that caches have settled, or labels that must be named.
        InputError: no such file.
    """

    def __init__(self, o: BenchmarkOptions, entrants: Sequence[Entrant], folder: Path) -> None:
        self.options = o
        self.paths = expand(o.files)
        self.caches = [p for p in self.paths if is_cache(p)]
        self.targets = label_requests.parse(o.target) or ()
        self.published = label_requests.parse(o.published) or ()
        self.failed: list[dict[str, Any]] = []
        # the folder as it is seen from here: the same words when the run goes on by another spelling of it
        self.folder = Path(os.path.relpath(folder))
        if self.caches and len(self.caches) < len(self.paths):
            other = next(p for p in self.paths if not is_cache(p))
            raise UsageError("is no graph cache, others are; a benchmark reads either", path=other)
        if self.caches:
            self._refuse_other_graphs(entrants)
        else:
            if (o.fold_column or o.published) and not o.target:
                flag = "--fold-column" if o.fold_column else "--published"
                raise UsageError(f"{flag} names a label of the files; name the one to learn, too: --target KEY")
            for one in entrants:  # refuses before anything is written; what is in the folder may be about to go
                resolve(replace(self._plan(one.graphs), overwrite=True))
            refuse_missing(self.paths, o)

    def _refuse_other_graphs(self, entrants: Sequence[Entrant]) -> None:
        o = self.options
        flags = {"--cif-column": o.cif_column, "--id-column": o.id_column}
        if said := [flag for flag, value in flags.items() if value]:
            raise UsageError(f"{said[0]} is about files of structures; graph caches are read already")
        recipe = GraphDataset.open(self.caches).recipe
        for one in entrants:
            if one.graphs.featurizer != recipe.featurizer:
                raise UsageError(
                    f"was built with featurizer '{recipe.featurizer}', --arch {one.label} has "
                    f"'{one.graphs.featurizer}'; give the structures in place of the cache: each gets its own graphs",
                    path=self.caches[0],
                )
            if one.given and one.graphs.options != recipe.options:
                raise UsageError(
                    f"has graphs of {recipe.options}, --arch {one.label} asks for others; give the structures in place "
                    "of the cache",
                    path=self.caches[0],
                )

    def _plan(self, recipe: GraphRecipe) -> BuildPlan:
        o = self.options
        return BuildPlan(
            inputs=o.files,
            output=self.folder / self.name(recipe),
            featurizer=recipe.featurizer,
            options=recipe.options,
            targets=labels_asked(o),
            place=Place.of(o.jobs, ""),
            reading=choices(o),
            fields=recipe.fields,
        )

    def _resolved(self, recipe: GraphRecipe) -> Resolved:
        """The build; in place of graphs of other files or labels that a benchmark left here which was refused."""
        plan = self._plan(recipe)
        try:
            return resolve(plan)
        except UsageError as no:
            if not plan.output.is_file():
                raise
            if split_file(self.folder, 0).exists():  # trained on, perhaps
                raise self._why_not(plan.output) or no from no
            return resolve(replace(plan, overwrite=True))

    def _why_not(self, cache: Path) -> UsageError | None:
        """That published predictions were named too late, if they were: they are labels of the graphs."""
        there = GraphDataset.open([cache]).columns
        if all({r.name, r.text, r.key} & there.keys() for r in self.published):
            return None
        said = f"was built without all of --published {', '.join(self.options.published)}, and is trained on"
        cure = "name them when a benchmark of structures begins (--overwrite begins anew), or benchmark graph caches"
        return UsageError(f"{said}; {cure}", path=cache)

    def name(self, recipe: GraphRecipe) -> str:
        """Of the cache that is built by ``recipe``."""
        made = json.dumps([recipe.options, recipe.fields], sort_keys=True)
        return f"{GRAPHS}{recipe.featurizer.replace(':', '-')}-{hashlib.sha256(made.encode()).hexdigest()[:6]}.h5"

    def graphs(self, one: Entrant) -> tuple[Path, ...]:
        """The caches that an architecture is trained on."""
        return tuple(self.caches) or (self.folder / self.name(one.graphs),)

    def build(self, entrants: Sequence[Entrant], run: Run) -> None:
        """Build the graphs that are not there yet; goes on with a build that was stopped.

        Raises:
            UsageError: labels that the files do not have. NothingUsable: no structure can be read.
        """
        if self.caches:
            return
        for recipe in {self.name(one.graphs): one.graphs for one in entrants}.values():
            self._built(recipe, run)

    def _built(self, recipe: GraphRecipe, run: Run) -> None:
        resolved = self._resolved(recipe)
        done, total = 0, about(resolved.paths)

        def hear(n: int, text: str) -> None:
            nonlocal done
            done += n
            run.reporter.progress(f"{done} graphs by {recipe.featurizer}", done, total)
            if text:
                run.reporter.say(text)

        report = build.run(resolved, hear, run.stop)
        if not report.n_structures:
            raise NothingUsable(f"no structure can be used; {_first(report)}")
        for line in report.audit.lines if not report.up_to_date else ():
            run.reporter.say(line)
        for failure in report.failures:
            run.reporter.warn(str(failure))
        self.failed += [f.to_json() for f in report.failures if f.to_json() not in self.failed]
        run.log(f"{recipe.featurizer}: {report.n_structures} graphs -> {report.output}")

    def target_names(self, data: GraphDataset) -> list[str]:
        """Labels to learn, as the caches call them; empty where there is only one.

        Raises:
            UsageError: a unit that is not the cache's.
        """
        return [_named(request, data) for request in self.targets]

    def published_names(self, data: GraphDataset) -> list[str]:
        """Labels that are others' predictions.

        Raises:
            UsageError: no such label, or a unit that is not the cache's.
        """
        return [_named(request, data) for request in self.published]


def _named(request: LabelRequest, data: GraphDataset) -> str:
    """Name of the label in the caches: what it was called there, or as typed."""
    name = next((n for n in (request.name, request.text, request.key) if n in data.columns), request.key)
    if name in data.columns and request.unit and (unit := data.columns[name].quantity.unit) != request.unit:
        raise UsageError(f"label '{name}' is in {unit or 'an unknown unit'} in the cache, not in {request.unit}")
    return name


def _first(report: BuildReport) -> str:
    return str(report.failures[0]) if report.failures else "the files hold none"
