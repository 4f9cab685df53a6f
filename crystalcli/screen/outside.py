"""Stages that others do: a command for some structures at a time, or people who bring the results."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from crystalcli.contracts.workflow import Run
from crystalcli.engine.read.inputs import expand
from crystalcli.engine.run import files
from crystalcli.engine.run.stopping import seconds
from crystalcli.nouns.structures.read_options import ReadOptions
from crystalcli.screen.options import CALLS, OUTSIDE, TO_DO
from crystalcli.screen.plan import StagePlan
from crystalcli.screen.stage_results import (
    DONE,
    PieceResults,
    Result,
    StagePiece,
    Structure,
    cif_column_by,
    extxyz,
    misfit,
    read_results,
    with_energy,
)
from crystalcli.vocabulary.errors import CrystalError, EnvironmentProblem, Stopped, UsageError, one_line

POLL = 0.05
"""Seconds between two looks at a command that runs."""
HAS_FAILED = "failed"
"""Reason of a result of which people say so."""
FAILED = f"{HAS_FAILED}.txt"
"""Beside results that people bring: ids of those that failed, each with a reason after a colon if there is one.

Ids may have colons of their own, as ``file:0`` has."""


class CommandWorker:
    """Calls a command with files ``{input}`` and ``{output}``.

    The command runs in the shell, in the folder that the campaign was started in; ``{folder}`` is a folder of the
    call's own. What it says is in ``output.log`` there. A result without an energy is a problem where energies of the
    stage are needed (``counted``).
    """

    def __init__(self, stage: StagePlan, folder: Path, jobs: int, *, counted: bool) -> None:
        self.stage, self.options, self.counted = stage, stage.options, counted
        self.folder = folder.absolute() / CALLS / stage.name
        self.piece, self.jobs = stage.options.batch, jobs
        self.limit = seconds(stage.options.timeout)

    def work(self, task: str, missing: Iterator[StagePiece], run: Run) -> Iterator[PieceResults]:  # noqa: ARG002
        """Call, several at a time where there are several jobs.

        Raises:
            Stopped: asked to; calls under way are ended. EnvironmentProblem: disk full and its like. What came of calls
                that had ended has been yielded.
        """
        waiting: deque[tuple[str, Future[list[Result]]]] = deque()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for key, structures in missing:
                    while len(waiting) >= self.jobs:
                        yield self._next(waiting)
                    waiting.append((key, pool.submit(self._call, key, structures, run)))
                while waiting:
                    yield self._next(waiting)
            except (Stopped, EnvironmentProblem):
                yield from ((key, future.result()) for key, future in waiting if future.exception() is None)
                raise

    def _next(self, waiting: deque[tuple[str, Future[list[Result]]]]) -> PieceResults:
        key, future = waiting.popleft()
        return key, future.result()

    def _call(self, key: str, structures: Sequence[Structure], run: Run) -> list[Result]:
        folder = self.folder / key
        start, end = folder / "input.extxyz", folder / "output.extxyz"
        files.write_text(start, extxyz(structures))
        files.remove(end)
        words = {"input": start, "output": end, "folder": folder}
        line = self.stage.source[0]
        for word, path in words.items():
            line = line.replace("{" + word + "}", shlex.quote(str(path)))
        problem = self._called(line, folder / "output.log", run)
        if problem:
            return [Result(s.id, "command", problem) for s in structures]
        if not end.exists():
            return [Result(s.id, "output", f"the command ended well and wrote no {end}") for s in structures]
        return self._read(end, structures)

    def _called(self, line: str, log: Path, run: Run) -> str:
        """Run to the end; returns what went wrong."""
        began = time.monotonic()
        with files.afresh(log) as out:
            child = subprocess.Popen(
                line, shell=True, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            while child.poll() is None:
                late = time.monotonic() - began > self.limit
                if late or run.stop.reason():
                    _end(child)
                    if late:
                        return f"took longer than {self.options.timeout} and was ended; see {log}"
                    run.stop_if_asked()
                time.sleep(POLL)
        if child.returncode == 0:
            return ""
        how = f"exit code {child.returncode}" if child.returncode > 0 else f"signal {-child.returncode}"
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return one_line(f"{how}; {said[-1] if said else 'it said nothing'}; see {log}")

    def _read(self, path: Path, structures: Sequence[Structure]) -> list[Result]:
        try:
            found, failures = read_results([path], self.options, once=True)
        except CrystalError as problem:
            return [Result(s.id, "output", str(problem)) for s in structures]
        said = str(failures[0]) if failures else f"is not in {path}"
        results = [misfit(found.get(s.id, Result(s.id, "output", said)), s) for s in structures]
        return [with_energy(r, self.options.energy) for r in results] if self.counted else results


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a command with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
            child.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    child.wait()


class OutsideWorker:
    """Writes the structures down and takes the results from where people put them.

    Args:
        stage: the stage. folder: of the run. counted: its energies are needed.
        ids: of all structures of the campaign, whatever is asked for at a time: results that came before stay there.
    """

    piece = 1

    def __init__(self, stage: StagePlan, folder: Path, ids: Collection[str], *, counted: bool) -> None:
        self.stage, self.counted = stage, counted
        self.ids = {i.strip(): i for i in ids}
        self._said: set[str] = set()
        self.folder = folder / OUTSIDE
        self.results = Path(stage.options.results) if stage.options.results else self.folder / stage.name

    def work(self, task: str, missing: Iterator[StagePiece], run: Run) -> Iterator[PieceResults]:
        """Hand on the results that are there; what is no result is said and not taken, for people can mend it.

        Raises:
            Stopped: some are not; says which, and what to do. UsageError: none has an energy that is needed.
        """
        wanted = [(key, structures[0]) for key, structures in missing]
        if not wanted:
            return
        found = self._there(run)
        rest: list[Structure] = []
        unfit: list[str] = []
        for key, one in wanted:
            result = self._fitting(found[one.id], one) if one.id in found else None
            if result is not None and result.reason in (DONE, HAS_FAILED):
                yield key, [result]
                continue
            rest.append(one)
            if result is not None:
                unfit.append(f"{one.id}: {result.problem}")
        if unfit:
            said = "; ".join(unfit[:3]) + (f"; and {len(unfit) - 3} more" if len(unfit) > 3 else "")
            self._warn(run, f"{self.results}: {said}: not taken; mend what is wrong, or name what failed in {FAILED}")
        to_do = self.folder / f"{self.stage.name}{TO_DO}.extxyz"
        listed = to_do.with_suffix(".txt")
        if not rest:
            files.remove(to_do)
            files.remove(listed)
            return
        files.write_text(to_do, extxyz(rest))
        files.write_text(listed, "".join(f"{i.id}\n" for i in rest))
        here = len(wanted) - len(rest)
        taken = f"{here} of {len(wanted)} results taken; " if here else ""
        names = ", ".join(i.id for i in rest[:3]) + (" …" if len(rest) > 3 else "")
        run.reporter.say(
            f"put results into {self.results} (structure files with the same ids and energies; ids of those that "
            f"failed into {FAILED} there) and give the same command again"
        )
        raise Stopped(f"{taken}stage '{self.stage.name}' waits for {len(rest)} structures ({task}: {names}) -> {to_do}")

    def _fitting(self, found: Result, one: Structure) -> Result:
        """``found``, or what is wrong with it as a result of ``one``."""
        result = misfit(found, one)
        return with_energy(result, self.stage.options.energy) if self.counted else result

    def _there(self, run: Run) -> dict[str, Result]:
        """What has been brought."""
        found: dict[str, Result] = {}
        if (self.results.is_dir() and any(self.results.iterdir())) or self.results.is_file():
            paths = [p for p in expand([str(self.results)]) if p.is_file()]
            o = self.stage.options
            with cif_column_by(f"cif_column in stage '{self.stage.name}'"):
                found, failures = read_results(paths, o, ReadOptions(o.cif_column, o.id_column), once=True)
            for failure in failures:
                self._warn(run, str(failure))
            mine = set(self.ids.values())  # as it is written counts before what has blanks around it
            exact_last = sorted(found.items(), key=lambda named: named[0] in mine)
            found = {name: replace(r, id=name) for i, r in exact_last for name in [self.ids.get(i.strip(), i)]}
            if strangers := [i for i in found if i not in mine]:
                self._warn(
                    run, f"{self.results}: {_some(strangers)}: no structure of the campaign has this id; not taken"
                )
            if found and not run.resumed and self.results.parent == self.folder:
                self._warn(
                    run,
                    f"{self.results}: holds results from before this run began ({_some(list(found))}); they are taken: "
                    "remove those of other structures or calculations, and begin anew with --overwrite",
                )
            key = self.stage.options.energy
            if self.counted and found and all(r.energy is None for r in found.values()):
                said = f"no result of stage '{self.stage.name}' has '{key}'; write it to the structures there"
                raise UsageError(said, path=self.results)
        failed = (self.results if self.results.is_dir() else self.results.parent) / FAILED
        if failed.is_file():
            found |= self._failed(failed, run)
        return found

    def _failed(self, path: Path, run: Run) -> dict[str, Result]:
        """Those of which people say that they failed; says which lines are of no structure."""
        found: dict[str, Result] = {}
        lost: list[str] = []
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            if not line.strip():
                continue
            named = self._named(line)
            if named is None:
                lost.append(line.strip())
            else:
                found[named[0]] = Result(named[0], HAS_FAILED, named[1] or "said to have failed")
        if lost:
            self._warn(run, f"{path}: {_some(lost)}: begins with the id of no structure of the campaign; not taken")
        return found

    def _named(self, line: str) -> tuple[str, str] | None:
        """Whose line it is and the reason there: of ids that may end at a colon, or hold some, the longest one."""
        parts = line.split(":")
        for k in range(len(parts), 0, -1):
            if (name := ":".join(parts[:k]).strip()) in self.ids:
                return self.ids[name], ":".join(parts[k:]).strip()
        return None

    def _warn(self, run: Run, text: str) -> None:
        """Say it once, though every task of the stage looks."""
        if text not in self._said:
            self._said.add(text)
            run.reporter.warn(text)


def _some(texts: Sequence[str]) -> str:
    """The first of ``texts``, and how many more there are."""
    more = len(texts) - 3
    return ", ".join(f"'{t}'" for t in texts[:3]) + (f" and {more} more" if more > 0 else "")
