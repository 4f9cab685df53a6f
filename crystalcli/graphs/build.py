"""Structure files → graph cache: every file is tried, nothing is dropped silently, one file comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crystalcli.contracts.workflow import Stop
from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.cache.cache_writer import CacheWriter
from crystalcli.engine.labels import label_requests, labels
from crystalcli.engine.labels.label_words import with_words
from crystalcli.engine.labels.labelled import Labelled
from crystalcli.engine.labels.labels import Audit
from crystalcli.engine.labels.seen import Seen
from crystalcli.engine.read.reading import Failure, Ids, ReadItem
from crystalcli.engine.read.supervised_reading import Callbacks
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files, locks
from crystalcli.engine.run.places import Place
from crystalcli.engine.run.stopping import StopSignal as NeverAsked
from crystalcli.engine.run.tasks import Limits
from crystalcli.graphs.packing import Built, FileOutcome, GraphWork, LeftOut, outcomes
from crystalcli.graphs.parts import UNIT, Cursor, Parts, Sealing, Share, units
from crystalcli.graphs.parts import folder as parts_folder
from crystalcli.graphs.plan import BuildPlan, BuildReport, Resolved, failures_file
from crystalcli.graphs.resolving import resolve
from crystalcli.nouns.structures.site_fields import SiteField
from crystalcli.vocabulary.errors import CrystalError, EnvironmentProblem, InputError, Stopped
from crystalcli.vocabulary.tables import json_line

PEEK = 200
"""After so many structures a choice of labels that cannot be made stops the work, rather than at its end."""
Listener = Callable[[int, str], None]
"""Called with the number of structures done since the last call, and a word on the last one."""


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
    with locks.locked(target):
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


def _outcomes(resolved: Resolved, parts: Parts, listen: Listener, stop: Stop | None) -> Iterator[FileOutcome]:
    plan = resolved.plan
    who, say = plan.place, partial(listen, 0)
    return _resumed(
        resolved.work, resolved.reading.items, who, parts, share=plan.share, stop=stop, limits=plan.limits, say=say
    )


@dataclass(frozen=True)
class _Unit:
    number: int
    files: range
    parts: list[Path]
    begin: Cursor


def _resumed(
    work: GraphWork,
    items: Sequence[ReadItem],
    place: Place,
    parts: Parts,
    *,
    share: Share | None = None,
    stop: Stop | None = None,
    limits: Limits | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Iterator[FileOutcome]:
    """Yield what becomes of every structure of the share's files, sealing parts on the way.

    A full unit is sealed when it ends, the last one only in an array job: what follows is the final file.

    Raises:
        Stopped: as ``stop`` asks; what is done is sealed. EnvironmentProblem: disk full, a scheduler that is lost.
    """
    share, stop = share or Share(), stop or NeverAsked()

    def pause() -> None:
        if why := stop.reason():
            raise Stopped(f"{why}: what is done is safe in {parts.folder}; the same command goes on")

    mine = [
        _Unit(k, numbers, *parts.known(k, numbers.start))
        for k, numbers in enumerate(units(len(items)))
        if share.takes(k)
    ]
    open_units = [u for u in mine if not u.begin.ended]
    todo = [n for u in open_units for n in range(u.begin.file, u.files.stop)]
    position = {n: k for k, n in enumerate(todo)}
    skip = {position[u.begin.file]: u.begin.skip for u in open_units if u.begin.skip}
    ours = [items[n] for n in todo]
    found = outcomes(work, ours, place, skip, limits=limits, heard=Callbacks(say, pause))
    stream = ((todo[k], outcome) for k, outcome in found)
    following = next(stream, None)
    for unit in mine:
        for path in unit.parts:
            yield from parts.read(path)
        if unit.begin.ended:
            continue
        sealing = Sealing(parts, unit.number, len(unit.parts), unit.begin)
        seen = Counter({unit.begin.file: unit.begin.skip})
        while following is not None and following[0] in unit.files:
            number, outcome = following
            seen[number] += 1
            sealing.add(outcome, Cursor(number, seen[number]))
            yield outcome
            try:
                pause()
                following = next(stream, None)
            except CrystalError:
                sealing.seal()
                raise
        if share.count > 1 or len(unit.files) == UNIT:
            sealing.seal(ended=True)


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
        collected = _Collected(writer, resolved.requests, resolved.work.fields)
        for outcome in _outcomes(resolved, parts, listen, stop):
            collected.take(outcome)
            listen(1, "")
            if plan.limit and len(collected.entries) == plan.limit:
                break
        columns, audit = labels.columns(collected.entries, resolved.requests) if collected.entries else ([], Audit())
        entries = with_words(collected.entries, audit.keys)
        for k, (one, found) in enumerate(zip(collected.entries, entries, strict=True)):
            if found is not one:
                writer.tag(k, found.tags)
        failures = [f.to_json() for f in collected.failures]
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
            seen=Seen.of(entries, None if resolved.requests is None else audit.keys),
            fields=collected.fields,
        )


class _Collected:
    """What has come out so far; graphs go straight to the writer."""

    def __init__(
        self, writer: CacheWriter, requests: Sequence[label_requests.LabelRequest] | None, fields: Sequence[str]
    ) -> None:
        self.writer, self.requests = writer, requests
        self.entries: list[Labelled] = []
        self.failures: list[Failure] = []
        self.warnings: list[tuple[str, str]] = []
        self.left_out: Counter[str] = Counter()
        self.fields = dict.fromkeys((SiteField.parse(f).name for f in fields), 0)
        self._ids = Ids()

    def take(self, outcome: FileOutcome) -> None:
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
        for name in self.fields:
            self.fields[name] += bool(outcome.graph.fields[name].any())
        self.warnings += [(entry.source, w) for w in outcome.warnings]
        if len(self.entries) == PEEK and self.requests == ():
            label_requests.choose(labels.candidates(self.entries), self.requests, labels.the_property(self.entries))


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


def _write_failures(path: Path, failures: Sequence[Mapping[str, str]]) -> None:
    if failures:
        files.write_text(path, "".join(json_line(f, sort_keys=True) for f in failures))
    else:
        files.remove(path)
