#!/usr/bin/env python3
"""The alumina study of the LCGCN paper: every table and figure, at a chosen scale, with one command.

    python examples/lcgcn/study.py --scale small --data $CRYSTAL_DATA/alumina --output runs/lcgcn-small

Each training is one cell of a journal in the output folder: the same command goes on where an earlier one stopped,
however it stopped. The tables are written into docs/results/alumina-study.md, between markers of their own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from alumina_study.cells import Bench
from alumina_study.journal import Journal
from alumina_study.plan import Study
from alumina_study.program import CommandFailed
from alumina_study.reading import load
from alumina_study.records import Cell, Method
from alumina_study.systems import Systems, graphs_of
from alumina_study.tables import put, render

from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files, locks
from crystalcli.vocabulary.errors import CrystalError

STOPPED = (75, 130)
"""Exit codes of a command that a signal ended."""
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "alumina-study.md"


class StudyStopped(Exception):
    """A signal reached a command of the study; what is done is kept."""


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="small", help="mini, small or full; see scales.toml")
    parser.add_argument("--data", type=Path, help="folder with the alumina runs; default $CRYSTAL_DATA/alumina")
    parser.add_argument("--output", type=Path, required=True, help="folder of the journal, caches and models")
    parser.add_argument("--only", action="append", default=[], help="a table, e.g. table-vi; several times for several")
    parser.add_argument("--method", action="append", default=[], help="a method of methods.toml; several times")
    parser.add_argument("--results", type=Path, default=RESULTS, help="document that the tables are written into")
    parser.add_argument("--jobs", type=int, default=1, help="cells computed at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--given", action="append", default=[], help="NAME=MODEL, a method that was trained elsewhere")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--render-only", action="store_true", help="compute nothing, write the tables of what is done")
    parser.add_argument("--list", action="store_true", help="show the cells and stop")
    return parser.parse_args(words)


def _show(lines: Sequence[str]) -> None:
    """Print for a reader who may go when he has seen enough (``--list | head``)."""
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end


def main(words: list[str] | None = None) -> int:
    """Run the study; 0 when all cells are done, 3 when some failed, 75 when it was stopped."""
    wish = arguments(words)
    try:
        whole = load(wish.scale, tables=wish.only)
        study = load(wish.scale, tables=wish.only, methods=wish.method)
        given = dict(read_given(word) for word in wish.given)
        study = Study(study.scale, available(study.methods, given), study.tables)
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    journal, cells = Journal(wish.output), study.cells()
    if wish.list:
        _show([f"{'done' if journal.done(c) else 'open'}  {c.key}  -> {', '.join(c.tests)}" for c in cells])
        return 0
    failed = 0
    if not wish.render_only:
        wish.output.mkdir(parents=True, exist_ok=True)
        with locks.locked(wish.output / "study"):
            try:
                failed = compute(study, cells, wish, given)
            except StudyStopped:
                print("stopped; the same command goes on", file=sys.stderr)
                return 75
    write(whole, journal, wish)  # methods that were computed earlier keep their rows
    return 3 if failed else 0


def read_given(word: str) -> tuple[str, Path]:
    """``NAME=MODEL``."""
    name, found, model = word.partition("=")
    if not found or not Path(model).exists():
        raise ValueError(f"--given {word}: write NAME=MODEL, a model file or run folder that is there")
    return name, Path(model)


def available(methods: tuple[Method, ...], given: Mapping[str, Path]) -> tuple[Method, ...]:
    """Methods whose architecture is installed, and whose model is there if it is to be given."""
    known = set(registry().names("architecture"))
    kept = []
    for m in methods:
        if m.arch and m.arch not in known:
            print(f"left out: {m.name}, there is no architecture {m.arch}", file=sys.stderr)
        elif m.given and m.name not in given:
            print(f"left out: {m.name}; --given {m.name}=MODEL", file=sys.stderr)
        else:
            kept.append(m)
    return tuple(kept)


def compute(study: Study, cells: list[Cell], wish: argparse.Namespace, given: Mapping[str, Path]) -> int:
    """Compute all cells that are not done; returns how many failed."""
    data = wish.data or Path(os.environ.get("CRYSTAL_DATA", "")) / "alumina"
    systems = Systems(data, wish.output, study.scale)
    bench = Bench(systems, Journal(wish.output), wish.device, wish.threads, given)
    methods = {m.name: m for m in study.methods}
    todo = [c for c in cells if not bench.journal.done(c)]
    print(f"{len(cells)} cells, {len(todo)} to do", file=sys.stderr)
    prepare(systems, todo, methods, wish.jobs * wish.threads)
    failed, began = 0, time.perf_counter()
    for k, (cell, problem) in enumerate(computed(bench, todo, methods, wish.jobs), 1):
        failed += bool(problem)
        spent = f"{(time.perf_counter() - began) / 60:.1f} min"
        print(f"[{k}/{len(todo)}, {spent}] {cell.key} {problem or 'done'}", file=sys.stderr, flush=True)
    return failed


def computed(bench: Bench, cells: list[Cell], methods: dict[str, Method], jobs: int) -> Iterator[tuple[Cell, str]]:
    """Compute ``cells``, here or in ``jobs`` processes; yields each with what went wrong as it is done."""
    if jobs == 1:
        yield from ((c, work(bench, c, methods[c.method])) for c in cells)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context) as workers:
        waiting = {workers.submit(work, bench, c, methods[c.method]): c for c in cells}
        try:
            yield from ((waiting[future], future.result()) for future in as_completed(waiting))
        finally:
            workers.shutdown(cancel_futures=True)


def prepare(systems: Systems, cells: list[Cell], methods: dict[str, Method], jobs: int) -> None:
    """Build the graph caches that ``cells`` need, each file once per featurizer."""
    needed: dict[tuple[str, str], tuple[Path, Method]] = {}
    for cell in cells:
        method = methods[cell.method]
        tests = [systems.tested(t) for t in cell.tests if t != "time"]
        for path in [*(systems.pool(run) for run, _, _ in cell.parts), *tests]:
            needed.setdefault((str(path), graphs_of(method)[0]), (path, method))
    for path, method in needed.values():
        systems.build(path, method, jobs)


def work(bench: Bench, cell: Cell, method: Method) -> str:
    """Compute one cell; returns what went wrong, if anything.

    Raises:
        StudyStopped: a signal ended the command that was running.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bench.compute(cell, method)
    except (CommandFailed, CrystalError, OSError) as problem:
        if isinstance(problem, CommandFailed) and problem.code in STOPPED:
            raise StudyStopped from problem
        return f"failed: {problem}"
    return ""


def write(study: Study, journal: Journal, wish: argparse.Namespace) -> None:
    """Put the tables into the document, each between its markers."""
    document = wish.results.read_text(encoding="utf-8") if wish.results.exists() else "# Results\n"
    command = f"python examples/lcgcn/study.py --scale {study.scale.name} --output DIR"
    for table in study.tables:
        text = render(study, table, journal, f"{command} --only {table.name}")
        if text:
            document = put(document, f"lcgcn-study {study.scale.name} {table.name}", text)
    files.write_text(wish.results, document)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CrystalError as problem:  # such as another process at work in the same folder
        sys.exit(f"error: {problem}")
