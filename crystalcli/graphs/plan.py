"""What to build, what that means once everything is looked up, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from crystalcli.engine.cache.cache import GraphCache, GraphRecipe
from crystalcli.engine.labels import label_requests
from crystalcli.engine.labels.labels import Audit
from crystalcli.engine.labels.seen import Seen
from crystalcli.engine.read.reading import Failure, ReadPlan
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.tasks import Limits
from crystalcli.graphs.options import BuildOptions
from crystalcli.graphs.packing import GraphWork
from crystalcli.graphs.parts import Share
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import Exit, UsageError


def _words(text: str) -> tuple[str, ...]:
    return tuple(t for t in text.split(",") if t.strip())


SILENT = BuildOptions()
"""What counts where nobody says anything."""


@dataclass(frozen=True)
class BuildPlan:
    """What to build: the options of the command as the objects that they mean.

    Args:
        inputs: as typed, see :func:`crystalcli.engine.read.inputs.expand`.
        output: cache to write.
        featurizer, options: what makes the graphs.
        targets: labels to take, see :mod:`crystalcli.engine.labels.labels`; none named takes the only one.
        overwrite: replace ``output``, whatever it is.
        place: where files are read; the result does not depend on it.
        reading: choices for formats that need them.
        limit: so many structures only, the first that can be used; 0: all.
        require_labels: leave out structures that lack one of ``targets``.
        share: of an array job; what it does is kept beside ``output``, and the plan with the whole share joins it.
        limits: of each worker.
        fields: per-site fields that the graphs hold beside what the featurizer makes.
    """

    inputs: tuple[str, ...]
    output: Path
    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = _words(SILENT.targets)
    overwrite: bool = False
    place: Place = field(default_factory=Place)
    reading: ReadOptions = field(default_factory=ReadOptions)
    limit: int = SILENT.limit
    require_labels: bool = SILENT.require_labels
    share: Share = field(default_factory=Share)
    limits: Limits = field(default_factory=Limits)
    fields: tuple[str, ...] = _words(SILENT.fields)

    @classmethod
    def of(cls, asked: BuildOptions, options: Mapping[str, Any], *, overwrite: bool) -> Self:
        """What the options mean.

        Args:
            asked: of the command.
            options: of the featurizer.
            overwrite: replace the output.

        Raises:
            UsageError: a shard that is none, or one with a limit.
        """
        if asked.shard and asked.limit:
            raise UsageError("--limit counts structures of all files, which no --shard knows; leave one of them out")
        return cls(
            inputs=asked.inputs,
            output=asked.output,
            featurizer=asked.featurizer,
            options=options,
            targets=_words(asked.targets),
            overwrite=overwrite,
            place=Place.of(asked.jobs, asked.scheduler),
            reading=ReadOptions(cif_column=asked.cif_column, id_column=asked.id_column),
            limit=asked.limit,
            require_labels=asked.require_labels,
            share=Share.parse(asked.shard) if asked.shard else Share(),
            limits=Limits.of(asked.seconds_per_file, asked.memory_per_job),
            fields=_words(asked.fields),
        )


@dataclass(frozen=True)
class BuildReport:
    """What was built and what failed.

    Args:
        output: the cache; absent on disk if ``n_structures`` is 0.
        n_structures, n_atoms, n_edges: what it holds.
        failures: inputs that could not be used, in input order.
        warnings: (source, text) of structures that were used all the same.
        audit: what the labels look like.
        labels: names of the labels taken.
        up_to_date: nothing was done: ``output`` was already built from the same.
        left_out: structures that lack a required label, by the label.
        seen: what the files say and nobody uses.
        share: of an array job, the one that was done; then there is no cache yet.
        fields: structures in which a per-site field that was asked for is not 0 everywhere, by its name.
    """

    output: Path
    n_structures: int
    n_atoms: int
    n_edges: int
    failures: tuple[Failure, ...]
    warnings: tuple[tuple[str, str], ...] = ()
    audit: Audit = field(default_factory=Audit)
    labels: tuple[str, ...] = ()
    up_to_date: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)
    share: Share = field(default_factory=Share)
    fields: Mapping[str, int] = field(default_factory=dict)

    @property
    def exit_code(self) -> Exit:
        """0, 3 when some inputs failed, 4 when nothing was usable."""
        if not self.n_structures and self.share.count == 1:
            return Exit.NOTHING_USABLE
        return Exit.SOME_FAILED if self.failures else Exit.OK

    @property
    def failures_file(self) -> Path:
        """Where the failures are listed, one JSON object a line."""
        return failures_file(self.output)


@dataclass(frozen=True)
class Resolved:
    """A plan with everything looked up and nothing read yet.

    Args:
        plan: the plan.
        work: what every file is put through, with all options.
        paths: the files, in order.
        reading: their names and what to tell the user.
        requests: the labels asked for; ``None`` for no labels.
        digest: sha256 of everything the result depends on, input files included.
        current: the cache that is there already and was built from the same, if so.
    """

    plan: BuildPlan
    work: GraphWork
    paths: tuple[Path, ...]
    reading: ReadPlan
    requests: tuple[label_requests.LabelRequest, ...] | None
    digest: str
    current: GraphCache | None

    @property
    def recipe(self) -> GraphRecipe:
        """The recipe of the cache."""
        return self.work.recipe


def failures_file(output: Path) -> Path:
    """The list of failures beside a cache."""
    return output.with_name(output.name + ".failures.jsonl")
