"""The folder of a run: what was asked (config.toml), what happened (run.json, log.txt), how it went (metrics.jsonl)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from crystalcli import __version__
from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import files
from crystalcli.engine.run.progress import FILE
from crystalcli.vocabulary.errors import CrystalError, EnvironmentProblem, Exit, UsageError
from crystalcli.vocabulary.texts import file_word

PACKAGES = ("torch", "numpy", "h5py", "ase", "pymatgen", "safetensors")
RECORD, LATEST = "run.json", "latest"
RUNS = Path("runs")
"""Where runs go that are given no folder."""


def default_names(word: str, root: Path = RUNS) -> Iterator[Path]:
    """``runs/<date-time>-<word>``, and with a number behind it for further runs in the same second."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{file_word(word)}"
    yield root / name
    yield from (root / f"{name}-{k}" for k in count(2))


@contextmanager
def reserved_folder(word: str, root: Path = RUNS) -> Iterator[Path]:
    """A new folder that no other program is given, however many start at once; removed afterwards if it is empty.

    Where it cannot be made it is only a name: who opens the run says why.
    """
    made_root = not root.exists()
    for folder in default_names(word, root):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError:
            break
        try:
            folder.mkdir()
        except (FileExistsError, FileNotFoundError):  # another has it; or another removed the empty root just now
            continue
        except OSError:
            pass
        break
    try:
        yield folder
    finally:
        for empty in (folder, *([root] if made_root else [])):
            with suppress(OSError):
                empty.rmdir()


def point_latest(folder: Path) -> Path | None:
    """Let ``latest`` beside ``folder`` lead to it, in one step; a real file or folder of that name is left alone.

    Returns:
        The link, or none where it could not be made (no links on this file system, no permission).
    """
    link = folder.parent / LATEST
    if folder == link and link.is_symlink():  # a run that was asked to go on by this name
        return link
    if link.exists() and not link.is_symlink():
        return None
    temporary = files.unforeseen(link)
    try:
        temporary.symlink_to(folder.name, target_is_directory=True)
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)
        return None
    return link


BLOCK = 1 << 16
"""Bytes hashed at a time; a larger buffer is mapped and unmapped for every small file."""


def sha256(path: Path) -> str:
    """Hash of a file; raises OSError."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            whole.update(block)
    return whole.hexdigest()


def versions() -> dict[str, str]:
    """Versions of program, interpreter, packages and plugins."""
    found = {"crystal": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def plugin_versions(parts: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Distribution and version behind every ``(family, name)``."""
    offered = registry().parts
    return {f"{f} {n}": f"{offered[f, n].distribution} {offered[f, n].version}" for f, n in parts if (f, n) in offered}


@dataclass
class RunFolder:
    """An open run folder; make one with :meth:`create` or :meth:`reopen`."""

    path: Path
    record: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def create(cls, path: Path, *, overwrite: bool, facts: Mapping[str, Any], config: Mapping[str, Any]) -> RunFolder:
        """Make the folder and write what is known before the run.

        Args:
            path: where; it may exist if it is empty, or if it is a run folder and ``overwrite`` is given.
            overwrite: let the new run take the place of the old one.
            facts: for run.json: seed, device, inputs with hashes, ….
            config: for config.toml, re-runnable as it is.

        Raises:
            UsageError: there is something already. EnvironmentProblem: cannot be written.
        """
        if path.exists() and not path.is_dir():
            raise UsageError("is a file, not a folder for a run", path=path)
        if path.exists() and any(not _no_result(p) for p in path.iterdir()):
            if not overwrite:
                raise UsageError("exists; give --overwrite to replace the run in it", path=path)
            if not (path / RECORD).exists():
                raise UsageError("holds other files and no run; choose another folder", path=path)
            for old in sorted(path.iterdir()):
                if not old.is_dir() and (old.name in OWNED or old.name.startswith(BEGINNINGS)):
                    old.unlink()
        if path.is_symlink():
            warnings.warn(f"{path} is a link; the run is written to {path.resolve()}", stacklevel=2)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise EnvironmentProblem(f"cannot make the folder: {problem.strerror}", path=path) from problem
        folder = cls(path)
        folder.record = {
            "argv": sys.argv,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "host": {"system": platform.platform(), "machine": platform.machine(), **_job()},
            **facts,
            "exit_code": None,
            "outputs": [],
        }
        folder.write_record()  # first: a run killed here is known as one
        folder.write_config(config)
        return folder

    @contextmanager
    def recorded(self, outputs: Callable[[], list[str]] = list) -> Iterator[None]:
        """While inside, an error is logged and run.json says with which exit code it ended; it is raised on.

        Args:
            outputs: names of what is there by then.
        """
        try:
            yield
        except BaseException as problem:
            self.log(f"{type(problem).__name__}: {problem}")
            code = problem.exit_code if isinstance(problem, CrystalError) else Exit.BUG
            self.finish(Exit.INTERRUPTED if isinstance(problem, KeyboardInterrupt) else code, outputs())
            raise

    @staticmethod
    def read(path: Path) -> dict[str, Any]:
        """What run.json of an earlier run says; changes nothing.

        Raises:
            UsageError: no run there.
        """
        try:
            record: dict[str, Any] = json.loads((path / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            said = "is not a run folder: run.json is missing or broken; move the folder away, or choose another"
            raise UsageError(said, path=path) from problem
        return record

    @classmethod
    def reopen(cls, path: Path, facts: Mapping[str, Any] | None = None) -> RunFolder:
        """Go on in the folder of an earlier run; ``facts`` of run.json take the place of what it said.

        Raises:
            UsageError: no run there.
        """
        folder = cls(path, {**cls.read(path), **(facts or {})})
        folder.record.setdefault("resumed", []).append(datetime.now(UTC).isoformat(timespec="seconds"))
        folder.record["exit_code"] = None
        folder.write_record()
        files.remove_note(path / FILE)
        return folder

    def write(self, name: str, text: str) -> Path:
        """Write one text file of the run."""
        files.write_text(self.path / name, text)
        return self.path / name

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write config.toml."""
        self.write("config.toml", _toml(config))

    def write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        """Write one JSON file of the run."""
        return self.write(name, json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")

    def note_progress(self, text: str) -> None:
        """Keep how far it is, for onlookers."""
        files.note(self.path / FILE, text)

    def write_record(self) -> None:
        """Write run.json."""
        self.write_json(RECORD, self.record)

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        self._append("log.txt", f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}")

    def metric(self, values: Mapping[str, Any]) -> None:
        """Append one object to metrics.jsonl; numbers that are not finite become null."""
        clean = {k: (None if isinstance(v, float) and not abs(v) < float("inf") else v) for k, v in values.items()}
        self._append("metrics.jsonl", json.dumps(clean, ensure_ascii=False, allow_nan=False))

    def trim_metrics(self, epochs: int) -> int:
        """Forget the metrics of epochs after ``epochs``, which a resumed run writes again, and what is damaged.

        Returns:
            How many of the epochs before have none any more.
        """
        try:
            lines = (self.path / "metrics.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return epochs
        kept: dict[int, str] = {}
        for line in lines:
            try:
                kept.setdefault(int(json.loads(line)["epoch"]), line.decode())
            except (ValueError, KeyError, TypeError):
                continue
        kept = {k: line for k, line in kept.items() if 1 <= k <= epochs}
        self.write("metrics.jsonl", "".join(line + "\n" for line in kept.values()))
        return epochs - len(kept)

    def metrics(self) -> list[dict[str, Any]]:
        """All that is in metrics.jsonl."""
        text = (self.path / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def finish(self, exit_code: int, outputs: Sequence[str]) -> None:
        """Write how the run ended."""
        self.record["seconds"] = round(time.monotonic() - self.started, 3) + self.record.get("seconds", 0.0)
        self.record["exit_code"] = int(exit_code)
        self.record["outputs"] = sorted(outputs)
        self.write_record()

    def _append(self, name: str, line: str) -> None:
        files.append(self.path / name, (line + "\n").encode())


OWNED = frozenset(
    {
        "config.toml",
        FILE,
        "run.json",
        "metrics.jsonl",
        "log.txt",
        "splits.json",
        "model.safetensors",
        "report.json",
        "report.html",
        "failed-batch.json",
        "relaxed.extxyz",
        "relaxation.csv",
    }
)
"""Files that a run writes and may therefore replace."""

BEGINNINGS = ("state-", "predictions", "learning-curve", "parity", "reliability", "confusion", "distribution")
"""Beginnings of the names of further such files."""


def _job() -> dict[str, str]:
    """The job of a batch system that the run began in."""
    job = os.environ.get("SLURM_JOB_ID")
    return {} if job is None else {"slurm_job": job}


def _no_result(path: Path) -> bool:
    """Whether ``path`` is the beginning of a file, or of the folder's lock, whose writer was killed, or that lock."""
    name = path.name
    return name.startswith(".") and (name.endswith((".tmp", ".lock")) or ".lock." in name)


def _toml(config: Mapping[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(_without_none(config))


def _without_none(config: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: a value that is not set is left out."""
    return {k: _without_none(v) if isinstance(v, Mapping) else v for k, v in config.items() if v is not None}
