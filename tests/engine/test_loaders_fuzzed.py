"""Damaged caches and models: an error of ours or the same content, never a crash, a hang, or a file read elsewhere."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from common import small_cache
from common.some_trainings import train
from train.test_training import plan as training_plan

from crystalcli.engine.cache.cache import GraphCache
from crystalcli.engine.cache.cache_check import verify
from crystalcli.engine.data.dataset import GraphDataset
from crystalcli.engine.model import model_file
from crystalcli.vocabulary.errors import CrystalError

SECONDS = 20
AT_ONCE = 50


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small cache with labels and a small model."""
    folder = tmp_path_factory.mktemp("sound")
    cache = small_cache.write(folder / "graphs.h5", 12)
    model = train(training_plan(small_cache.write(folder / "t.h5"), folder / "run")).model
    return {"cache": cache, "model": model}


def open_cache(path: Path) -> None:
    cache = GraphCache(path)
    data = GraphDataset([cache])
    data.batch(np.arange(len(data)))
    verify(cache)


def open_model(path: Path) -> None:
    model_file.load(path)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bits turned, bytes set, pieces zeroed, cut out, doubled or moved; most near the start, where the structure is."""
    spoiled = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        size = len(spoiled)
        at = int(size * rng.random() ** 3) if rng.random() < 0.7 else int(rng.integers(0, size))
        length = int(rng.integers(1, 64))
        kind = rng.integers(0, 7)
        if kind == 0:
            spoiled[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            spoiled[at] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))
        elif kind == 2:
            spoiled[at : at + length] = bytes(length)
        elif kind == 3:
            del spoiled[at : at + length]
        elif kind == 4:
            spoiled[at:at] = spoiled[at : at + length]
        elif kind == 5:
            other = int(rng.integers(0, size))
            spoiled[at : at + length] = spoiled[other : other + length]
        else:
            spoiled[at : at + 8] = int(rng.choice([2**31 - 1, 2**32, 2**62, 2**63 - 1])).to_bytes(8, "little")
    return bytes(spoiled)


def in_child(opened: Callable[[Path], None], paths: list[Path], note: Path) -> int:
    """Open every path in another process; its exit status. What is being opened is noted, and what surprised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(SECONDS + len(paths))
            for path in paths:
                note.write_text(str(path))
                start = time.monotonic()
                with contextlib.suppress(CrystalError):
                    opened(path)
                assert time.monotonic() - start < SECONDS, path
            code = 0
        except BaseException as problem:
            note.write_text(f"{note.read_text()}: {type(problem).__name__} {problem}")
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status


def batches(data: bytes, count: int, seed: int, folder: Path) -> Iterator[list[Path]]:
    rng = np.random.default_rng(seed)
    for first in range(0, count, AT_ONCE):
        paths = [folder / f"{first + k}" for k in range(min(AT_ONCE, count - first))]
        for path in paths:
            path.write_bytes(damaged(data, rng))
        yield paths
        for path in paths:
            path.unlink()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["cache", "model"])
def test_damage_is_an_error(files: dict[str, Path], tmp_path: Path, kind: str, count: int) -> None:
    opened = {"cache": open_cache, "model": open_model}[kind]
    opened(files[kind])
    bad = []
    for paths in batches(files[kind].read_bytes(), count, 1, tmp_path):
        note = tmp_path / "note"
        status = in_child(opened, paths, note)
        if status:
            bad.append((os.waitstatus_to_exitcode(status), note.read_text()))
            keep = os.environ.get("KEEP_FUZZED")
            if keep:
                path = Path(note.read_text().split(":")[0])
                Path(keep, f"{kind}-{path.name}").write_bytes(path.read_bytes())
    assert not bad, json.dumps(bad[:5])
