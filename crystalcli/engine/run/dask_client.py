"""Work handed to the workers of a Dask scheduler, some items at a time; results come back in order.

An item on which a process died is named by the worker that had it. A Dask worker that dies takes its items with it:
the scheduler gives them to another; items that were the end of several workers are tried once more one by one, and
then named.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crystalcli.engine.run import dask_host
from crystalcli.engine.run.dask_cluster import be_quiet, scheduler_of
from crystalcli.engine.run.dask_host import Order, WorkerAnswer, installed
from crystalcli.engine.run.tasks import Lost, Task
from crystalcli.vocabulary.errors import EnvironmentProblem

CONNECT = 5.0
"""Seconds in which a scheduler must answer."""
BEAT = 0.5
"""Seconds between two looks at whether to go on."""
LOOK = 5.0
"""Seconds between two looks at who works."""
AHEAD = 3
"""Groups of items for every thread of the cluster that are handed out before the first unfinished one."""


@dataclass
class _Group:
    """Items on their way: their numbers, what is known of each already, and who has them."""

    numbers: list[int]
    items: list[Any]
    skip: dict[int, int]
    future: Any = None


class DaskWorkers:
    """Context manager around a connection to a scheduler; an :class:`Executor`.

    Args:
        scheduler: which; see :func:`crystalcli.engine.run.dask_cluster.scheduler_of`.
        task: what is done. say: told when there are no workers yet.

    Raises:
        UsageError: no such file. EnvironmentProblem: not installed, not reachable, or other versions there.
    """

    def __init__(self, scheduler: str, task: Task, say: Callable[[str], None]) -> None:
        self._task, self._say = task, say
        self._scheduler, self._address = scheduler, scheduler
        self._order = Order(uuid.uuid4().hex, task, installed())
        self._groups: deque[_Group] = deque()
        self._threads, self._looked, self._waited = 0, 0.0, False

    def __enter__(self) -> DaskWorkers:
        with contextlib.ExitStack() as started:
            self._address = started.enter_context(scheduler_of(self._scheduler))
            self._client = self._connected()
            started.callback(self._leave)
            self._check_versions()
            self._started = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def _connected(self) -> Any:
        import distributed

        be_quiet()
        try:
            return distributed.Client(self._address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as problem:
            raise EnvironmentProblem(
                f"no Dask scheduler answers at {self._address}; start one with: dask scheduler"
            ) from problem

    def _leave(self) -> None:
        with contextlib.suppress(Exception):  # whatever a broken connection makes of it
            if self._client.status == "running":
                self._client.cancel([g.future for g in self._groups if g.future is not None])
                self._client.run(dask_host.close, self._order.run, on_error="ignore")
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)

    def _check_versions(self) -> None:
        try:
            found = self._client.run(dask_host.installed, on_error="return")
        except Exception as problem:
            raise self._gone() from problem
        for address, said in found.items():
            why = dask_host.difference(self._order.versions, said) if isinstance(said, dict) else str(said)
            if why:
                raise self._refused(f"worker {address}: {why}")

    def _refused(self, why: str) -> EnvironmentProblem:
        return EnvironmentProblem(f"{self._address}: {why}")

    def _gone(self) -> EnvironmentProblem:
        return EnvironmentProblem(f"the connection to the Dask scheduler at {self._address} is lost")

    def results(
        self,
        items: Iterable[Any],
        skip: Mapping[int, int] | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, Any]]:
        """See :class:`Executor`."""
        source, known = enumerate(items), dict(skip or {})
        self._groups.clear()
        while True:
            self._hand_out(source, known)
            if not self._groups:
                return
            group = self._groups[0]
            answer = self._wait(group, pause)
            self._groups.popleft()
            if answer is None:
                if len(group.numbers) == 1:
                    lost = Lost("the Dask workers that worked on it died", False, group.skip.get(0, 0))
                    yield group.numbers[0], lost
                else:
                    self._one_by_one(group)
                continue
            for k, result in answer.results:
                yield group.numbers[k], result
            if answer.rest is not None:
                self._go_on(group, *answer.rest)

    def finished(self) -> list[tuple[int, Any]]:
        """See :class:`Executor`."""
        found = []
        for group in self._groups:
            if group.future is not None and group.future.status == "finished":
                with contextlib.suppress(Exception):
                    answer: WorkerAnswer = group.future.result(timeout=2)
                    found += [(group.numbers[k], r) for k, r in answer.results] if answer.rest is None else []
        return found

    def _hand_out(self, source: Iterator[tuple[int, Any]], known: Mapping[int, int]) -> None:
        self._look_who_works()
        while len(self._groups) < max(2, AHEAD * self._threads):
            some = [one for _, one in zip(range(self._task.ahead), source, strict=False)]
            if not some:
                return
            numbers = [n for n, _ in some]
            group = _Group(numbers, [i for _, i in some], {k: known[n] for k, n in enumerate(numbers) if n in known})
            self._submit(group)
            self._groups.append(group)

    def _submit(self, group: _Group, priority: int = 0) -> None:
        try:
            group.future = self._client.submit(
                dask_host.work, self._order, group.items, group.skip, pure=False, priority=priority
            )
        except Exception as problem:
            raise self._gone() from problem

    def _look_who_works(self) -> None:
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(Exception):
            self._threads = sum(self._client.nthreads().values())

    def _wait(self, group: _Group, pause: Callable[[], None]) -> WorkerAnswer | None:
        """What came of ``group``; none if it was the end of its workers."""
        while True:
            self._wait_until_done(group, pause)
            try:
                return self._answer(group.future)
            except TimeoutError:  # its worker died with the answer, which another works out anew
                pause()
                if self._client.status != "running":
                    raise self._gone() from None

    def _wait_until_done(self, group: _Group, pause: Callable[[], None]) -> None:
        import distributed

        while not group.future.done():
            pause()
            if self._client.status != "running":
                raise self._gone()
            self._look_who_works()
            if not self._threads and not self._waited:
                self._waited = True
                self._say(f"waiting for workers of {self._address}")
            try:
                with self._client.as_current():
                    distributed.wait([group.future], timeout=BEAT)
            except distributed.TimeoutError:
                continue
            except (Exception, CancelledError) as problem:
                raise self._gone() from problem

    def _answer(self, future: Any) -> WorkerAnswer | None:
        import distributed

        try:
            answer: WorkerAnswer = future.result(timeout=CONNECT)
        except distributed.KilledWorker:
            return None
        except TimeoutError:
            raise
        except (Exception, CancelledError) as problem:
            if future.status == "error":  # a bug of ours, or code that is not installed there
                raise self._refused(f"{type(problem).__name__}: {problem}") from problem
            raise self._gone() from problem
        if answer.refusal:
            raise self._refused(f"a worker does not begin: {answer.refusal}")
        return answer

    def _one_by_one(self, group: _Group) -> None:
        parts = [
            _Group([n], [item], {0: group.skip[k]} if k in group.skip else {})
            for k, (n, item) in enumerate(zip(group.numbers, group.items, strict=True))
        ]
        for part in parts:
            self._submit(part, priority=1)
        self._groups.extendleft(reversed(parts))

    def _go_on(self, group: _Group, k: int, done: int) -> None:
        """Ask for what was too much for one answer."""
        skip = {0: done} | {j - k: n for j, n in group.skip.items() if j > k}
        rest = _Group(group.numbers[k:], group.items[k:], skip)
        self._submit(rest, priority=1)
        self._groups.appendleft(rest)
