"""Loads one plugin, alone: whatever it does wrong is a line of text, never an exception.

Its prints are swallowed, a slow import is cut short, and what it may change of the process (working folder,
environment, seeds, signal handlers, torch's default dtype) is put back.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import io
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import pluggy

from crystalcli.contracts import hookspecs
from crystalcli.contracts.records import Part
from crystalcli.engine.registry.working_folder import staying

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

TIME_LIMIT = 5.0
"""Seconds that importing one plugin may take; ``CRYSTAL_PLUGIN_TIMEOUT`` changes it. Records import no torch."""

SLOW = 0.5
"""An import longer than this, in seconds, is remarked on: every command and every TAB pays for it."""

CORE = "crystal-graphs"
"""The distribution whose entry points are the built-in plugins."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from.

    Args:
        name: of the entry point, or of the module or file.
        target: ``module[:object]``, or the path of a one-file plugin.
        distribution: what to install or remove; the path of a one-file plugin.
        version: of the distribution, empty for a file.
        entry: the entry point, none for files and modules named in ``CRYSTAL_PLUGINS``.
    """

    name: str
    target: str
    distribution: str
    version: str = ""
    entry: EntryPoint | None = None

    @property
    def builtin(self) -> bool:
        """Comes with crystal itself."""
        return self.distribution == CORE

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class Loaded:
    """What came of loading one plugin.

    Args:
        origin: where it comes from.
        parts: the records that are right.
        problem: why the plugin is broken, empty if it is not.
        bad_parts: ``(family, name, reason)`` of records that are wrong.
        notes: what is bad manners only.
    """

    origin: Origin
    parts: tuple[Part, ...] = ()
    problem: str = ""
    bad_parts: tuple[tuple[str, str, str], ...] = ()
    notes: tuple[str, ...] = ()


class TooSlow(BaseException):
    """The import took too long; a BaseException, so that no ``except Exception`` of the plugin holds it up."""


def load(origin: Origin) -> Loaded:
    """Import a plugin, call its hook, check its records."""
    printed = io.StringIO()
    start = time.perf_counter()
    limit = _time_limit()
    heavy_before = "torch" in sys.modules
    pid = os.getpid()
    try:
        with (
            _put_back(),
            _no_sudden_end(origin),
            contextlib.redirect_stdout(printed),
            _time_limited(limit) as interrupted,
        ):
            parts = _call_hook(_import(origin), origin)
    except TooSlow:
        return Loaded(origin, problem=f"its import takes more than {limit:g} s")
    except KeyboardInterrupt:
        if interrupted:
            raise
        return Loaded(origin, problem="raises KeyboardInterrupt at import")
    except SystemExit as stop:
        called = "os._exit" if isinstance(stop, _SuddenExit) else "sys.exit"
        return Loaded(origin, problem=f"calls {called}({stop.code!r}) at import")
    except BaseException as problem:  # one broken plugin must not stop the rest
        return Loaded(origin, problem=_say(problem))
    finally:
        if os.getpid() != pid:
            os._exit(0)  # a plugin forked at import; its child is not a second crystal
    seconds = time.perf_counter() - start
    good, bad = (parts, []) if origin.builtin else _looked_at(parts)  # crystal's own are looked at by its tests
    notes = [f"slow import: {seconds:.1f} s"] if seconds > SLOW else []
    if printed.getvalue():
        notes.append(f"prints to stdout at import: {printed.getvalue().strip()[:60]!r}")
    if "torch" in sys.modules and not heavy_before:
        notes.append("imports torch; do that inside build functions")
    return Loaded(origin, tuple(good), "", tuple(bad), tuple(notes))


def _looked_at(parts: list[Any]) -> tuple[list[Part], list[tuple[str, str, str]]]:
    """Records that are right, and what is wrong with the others."""
    from crystalcli.contracts.validation import part_problems

    good, bad = [], []
    for part in parts:
        problems = part_problems(part)
        if problems:
            label = str(getattr(part, "name", type(part).__name__))
            bad.append((str(getattr(part, "family", "part")), label, "; ".join(problems)))
        else:
            good.append(part)
    return good, bad


def _time_limit() -> float:
    try:
        return float(os.environ.get("CRYSTAL_PLUGIN_TIMEOUT", TIME_LIMIT))
    except ValueError:
        return TIME_LIMIT


def _say(problem: BaseException) -> str:
    where = f" (line {problem.lineno} of {problem.filename})" if isinstance(problem, SyntaxError) else ""
    said = problem.msg if isinstance(problem, SyntaxError) else str(problem)
    return f"{type(problem).__name__}: {said}{where}"


def _import(origin: Origin) -> Any:
    if origin.entry is not None:
        return origin.entry.load()
    path = Path(origin.target)
    if path.suffix == ".py":
        return _import_file(path)
    return importlib.import_module(origin.target)


def _import_file(path: Path) -> ModuleType:
    """Import a one-file plugin under a name of its own, so that two files called the same do not clash."""
    import hashlib

    name = f"crystal_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot be imported: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up to resolve annotations
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _call_hook(plugin: Any, origin: Origin) -> list[Any]:
    if origin.builtin:  # a manager looks at every name of the module, and help waits for it
        return list(plugin.crystal_parts())
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, origin.name)
    if not manager.hook.crystal_parts.get_hookimpls():
        raise TypeError("has no function crystal_parts marked with @hookimpl")
    (answer,) = manager.hook.crystal_parts() or [None]
    if not isinstance(answer, list | tuple):
        raise TypeError(f"crystal_parts() returns {type(answer).__name__}, not a list of records")
    return list(answer)


@contextlib.contextmanager
def _time_limited(limit: float) -> Iterator[list[bool]]:
    """Raise :class:`TooSlow` after ``limit`` seconds, and note a Ctrl-C of the user in the yielded list."""
    interrupted: list[bool] = []
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield interrupted
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        interrupted.append(True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop), signal.signal(signal.SIGINT, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield interrupted
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGINT, before[1])


class _SuddenExit(SystemExit):
    """The plugin called ``os._exit``, which would end the program without a word."""


@contextlib.contextmanager
def _no_sudden_end(origin: Origin) -> Iterator[None]:
    """Turn ``os._exit`` into an exception, and let a crash of compiled code say where it was; not for built-ins."""
    if origin.builtin:
        yield
        return
    leave, pid, told = os._exit, os.getpid(), faulthandler.is_enabled()

    def instead(status: int) -> NoReturn:
        if os.getpid() != pid:
            leave(status)  # a child that the plugin forked
        raise _SuddenExit(status)

    os._exit = instead
    try:
        if not told:
            with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
                faulthandler.enable(sys.__stderr__ or sys.stderr, all_threads=False)
        yield
    finally:
        os._exit = leave
        if not told:
            faulthandler.disable()


@contextlib.contextmanager
def _put_back() -> Iterator[None]:
    """Restore what a plugin may change of the process, where that is cheap."""
    environment, state = dict(os.environ), random.getstate()
    torch = sys.modules.get("torch")
    dtype = torch.get_default_dtype() if torch else None
    rng = torch.get_rng_state() if torch else None
    numpy = sys.modules.get("numpy")
    numpy_state = numpy.random.get_state() if numpy else None
    try:
        with staying():
            yield
    finally:
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
        if torch is not None:
            torch.set_default_dtype(dtype)
            torch.set_rng_state(rng)
