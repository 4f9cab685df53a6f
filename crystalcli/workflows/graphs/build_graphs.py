"""Structure files → graph cache: every file is tried, nothing is dropped silently, one file comes out."""

from __future__ import annotations

import hashlib
import json
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from os.path import realpath
from pathlib import Path
from typing import Any

from crystalcli.contracts import options as opt
from crystalcli.mechanisms.caches.cache import GraphCache, GraphRecipe
from crystalcli.mechanisms.caches.cache_writer import CacheWriter
from crystalcli.mechanisms.labelling import label_requests, labels
from crystalcli.mechanisms.labelling.labelled import Labelled
from crystalcli.mechanisms.labelling.labels import Audit
from crystalcli.mechanisms.registry.plugin_manager import registry
from crystalcli.mechanisms.running import files
from crystalcli.mechanisms.running.places import Place
from crystalcli.mechanisms.running.stopping import Stop
from crystalcli.mechanisms.running.tasks import Limits
from crystalcli.mechanisms.structure_files.inputs import expand
from crystalcli.mechanisms.structure_files.readers import found_in_folder
from crystalcli.mechanisms.structure_files.reading import Failure, Ids, ReadPlan
from crystalcli.mechanisms.structure_files.reading import plan as reading_plan
from crystalcli.nouns.structures.id_prop import TABLE
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.vocabulary.errors import EnvironmentProblem, Exit, InputError, UsageError
from crystalcli.workflows.graphs.build_graphs_parts import Parts, Share
from crystalcli.workflows.graphs.build_graphs_parts import folder as parts_folder
from crystalcli.workflows.graphs.build_graphs_resumable import resumable
from crystalcli.workflows.graphs.build_graphs_work import Built, LeftOut, Outcome, Work

PEEK = 200
"""After so many structures a choice of labels that cannot be made stops the work, rather than at its end."""

Listener = Callable[[int, str], None]
"""Called with the number of structures done since the last call, and a word on the last one."""


@dataclass(frozen=True)
class BuildPlan:
    """What to build.

    Args:
        inputs: as typed, see :func:`crystalcli.mechanisms.structure_files.inputs.expand`.
        output: cache to write.
        featurizer, options: what makes the graphs.
        targets: labels to take, see :mod:`crystalcli.mechanisms.labelling.labels`; none named takes the only one.
        overwrite: replace ``output``, whatever it is.
        place: where files are read; the result does not depend on it.
        reading: choices for formats that need them.
        require_labels: leave out structures that lack one of ``targets``.
        share: of an array job; what it does is kept beside ``output``, and the plan with the whole share joins it.
        limits: of each worker.
    """

    inputs: tuple[str, ...]
    output: Path
    featurizer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    overwrite: bool = False
    place: Place = field(default_factory=Place)
    reading: ReadOptions = field(default_factory=ReadOptions)
    require_labels: bool = False
    share: Share = field(default_factory=Share)
    limits: Limits = field(default_factory=Limits)


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
        share: of an array job, the one that was done; then there is no cache yet.
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
    share: Share = field(default_factory=Share)

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
    work: Work
    paths: tuple[Path, ...]
    reading: ReadPlan
    requests: tuple[label_requests.LabelRequest, ...] | None
    digest: str
    current: GraphCache | None

    @property
    def recipe(self) -> GraphRecipe:
        """The recipe of the cache."""
        return GraphRecipe(self.work.featurizer, self.work.options)


def failures_file(output: Path) -> Path:
    """The list of failures beside a cache."""
    return output.with_name(output.name + ".failures.jsonl")


def resolve(plan: BuildPlan) -> Resolved:
    """Look up files, featurizer and labels, and check that ``output`` may be written.

    Raises:
        UsageError: a wrong option or label, or an output that is something else.
        InputError: no input at all.
    """
    part = registry().get("featurizer", plan.featurizer)
    options = opt.to_dict(opt.make(part.options, plan.options, owner=f"featurizer {part.name}"))
    requests = label_requests.parse(plan.targets)
    if plan.require_labels and not requests:
        raise UsageError("--require-labels needs to know which: name them with --targets")
    required = tuple((r.key, r.text) for r in requests or ()) if plan.require_labels else ()
    work = Work(part.name, options, plan.reading, required)
    own = {realpath(plan.output), realpath(failures_file(plan.output))}
    paths = tuple(p for p in expand(plan.inputs) if realpath(p) not in own)  # unlike resolve, survives link loops
    if not paths:
        raise InputError("no input files", path=" ".join(plan.inputs))
    digest = _digest(work, plan, paths)
    current = _look_at_output(plan, GraphRecipe(part.name, options), digest)
    return Resolved(plan, work, paths, reading_plan(paths, plan.reading), requests, digest, current)


def build(plan: BuildPlan, listen: Listener = lambda _n, _text: None, stop: Stop | None = None) -> BuildReport:
    """Run ``plan``; :func:`resolve` and :func:`run` in one."""
    return run(resolve(plan), listen, stop)


def run(resolved: Resolved, listen: Listener = lambda _n, _text: None, stop: Stop | None = None) -> BuildReport:
    """Build the cache, unless it is there already; go on with a build that was stopped.

    Raises:
        UsageError: labels that cannot be taken as asked; nothing is written. EnvironmentProblem: disk, lock.
        Stopped: as ``stop`` asks; the same plan goes on.
    """
    plan = resolved.plan
    if resolved.current is not None:
        return _unchanged(resolved.current)
    target = plan.output if plan.share.count == 1 else parts_folder(plan.output) / plan.share.name
    with files.locked(target):
        parts = Parts(plan.output, resolved.digest, plan.share)
        try:
            return (
                _joined(resolved, parts, listen, stop)
                if plan.share.count == 1
                else _sealed(resolved, parts, listen, stop)
            )
        except EnvironmentProblem as problem:
            if not parts.folder.exists():
                raise
            said = f"{problem.reason}; what is done is safe in {parts.folder}, the same command goes on"
            raise EnvironmentProblem(said, path=problem.path) from problem


def _outcomes(resolved: Resolved, parts: Parts, listen: Listener, stop: Stop | None) -> Iterator[Outcome]:
    plan = resolved.plan
    named = [(p, resolved.reading.names[p]) for p in resolved.paths]
    who, say = plan.place, partial(listen, 0)
    return resumable(resolved.work, named, who, parts, share=plan.share, stop=stop, limits=plan.limits, say=say)


def _sealed(resolved: Resolved, parts: Parts, listen: Listener, stop: Stop | None) -> BuildReport:
    """Do one share of an array job; its parts are all that is written."""
    failures: list[Failure] = []
    structures = atoms = edges = 0
    for outcome in _outcomes(resolved, parts, listen, stop):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif isinstance(outcome, Built):
            structures += 1
            atoms += len(outcome.graph.degree)
            edges += len(outcome.graph.neighbor)
        listen(1, "")
    return BuildReport(resolved.plan.output, structures, atoms, edges, tuple(failures), share=resolved.plan.share)


def _joined(resolved: Resolved, parts: Parts, listen: Listener, stop: Stop | None) -> BuildReport:
    plan = resolved.plan
    with CacheWriter(plan.output) as writer:
        collected = _Collected(writer, resolved.requests)
        for outcome in _outcomes(resolved, parts, listen, stop):
            collected.take(outcome)
            listen(1, "")
        columns, audit = labels.columns(collected.entries, resolved.requests) if collected.entries else ([], Audit())
        failures = [asdict(f) for f in collected.failures]
        if collected.entries:
            part = registry().origin("featurizer", resolved.work.featurizer)
            versions = {part.distribution: part.version}
            writer.finish(resolved.recipe, columns, failures, versions=versions, inputs=resolved.digest)
        _write_failures(failures_file(plan.output), failures)
        parts.remove()
        return BuildReport(
            plan.output,
            len(writer),
            writer.n_atoms,
            writer.n_edges,
            tuple(collected.failures),
            tuple(collected.warnings),
            audit,
            tuple(c.quantity.name for c in columns),
            left_out=dict(collected.left_out),
        )


class _Collected:
    """What has come out so far; graphs go straight to the writer."""

    def __init__(self, writer: CacheWriter, requests: Sequence[label_requests.LabelRequest] | None) -> None:
        self.writer, self.requests = writer, requests
        self.entries: list[Labelled] = []
        self.failures: list[Failure] = []
        self.warnings: list[tuple[str, str]] = []
        self.left_out: Counter[str] = Counter()
        self._ids = Ids()

    def take(self, outcome: Outcome) -> None:
        if isinstance(outcome, LeftOut):
            self.left_out[outcome.label] += 1
            return
        if not isinstance(outcome, Built):
            self.failures.append(outcome)
            return
        entry = self._ids.keep_apart(outcome.entry)
        try:
            self.writer.add(entry.id, entry.source, outcome.graph, entry.tags)
        except InputError as problem:
            self.failures.append(Failure(entry.source, entry.id, "graph", problem.code or "fields", problem.reason))
            return
        self.entries.append(entry)
        self.warnings += [(entry.source, w) for w in outcome.warnings]
        if len(self.entries) == PEEK and self.requests == ():
            label_requests.choose(Counter(key for e in self.entries for key in e.labels), self.requests)


def _look_at_output(plan: BuildPlan, recipe: GraphRecipe, digest: str) -> GraphCache | None:
    """The cache at ``output`` if it is what the plan would make; refuse anything else that is there."""
    output = plan.output
    if output.is_dir():
        raise UsageError("is a folder; choose a file with -o", path=output)
    if not output.exists():
        return None
    if output.name == TABLE or found_in_folder(output):
        raise UsageError("holds structures or labels; choose another output with -o", path=output)
    if plan.overwrite:
        return None
    cure = "--overwrite replaces it, -o FILE writes elsewhere"
    try:
        there = GraphCache(output)
    except InputError as problem:
        raise UsageError(f"exists: {problem.reason}; {cure}", path=output) from problem
    if there.inputs_digest == digest:
        return there
    different = there.recipe.difference(recipe)
    said = f"was built with {different}" if different else "exists and was built from other inputs, labels or versions"
    raise UsageError(f"{said}; {cure}", path=output)


def _unchanged(cache: GraphCache) -> BuildReport:
    return BuildReport(
        cache.path,
        len(cache),
        int(cache.atom_pointers[-1]),
        int(cache.edge_pointers[-1]),
        tuple(Failure(**f) for f in cache.failures),
        labels=tuple(cache.columns),
        up_to_date=True,
    )


def _digest(work: Work, plan: BuildPlan, paths: Iterable[Path]) -> str:
    """sha256 of recipe, versions, wishes, and names and contents of all files that are read."""
    part = registry().origin("featurizer", work.featurizer)
    recipe = GraphRecipe(work.featurizer, work.options)
    head: list[Any] = [recipe.fingerprint, part.distribution, part.version, list(plan.targets), asdict(plan.reading)]
    head += [plan.require_labels] if plan.require_labels else []
    whole = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    paths = list(paths)
    for path in (*paths, *dict.fromkeys(p.parent / TABLE for p in paths)):
        whole.update(f"{path}\0{_content(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _content(path: Path) -> str:
    """sha256 of a file; a word if it cannot be read. Never opens what might wait (a FIFO)."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "not a file"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _write_failures(path: Path, failures: Sequence[Mapping[str, str]]) -> None:
    if failures:
        files.write_text(path, "".join(json.dumps(f, sort_keys=True, ensure_ascii=False) + "\n" for f in failures))
    else:
        files.remove(path)
