"""Whatever is typed or written in a file ends in a value or in an error for people, never in a traceback."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import typer
from cli import some_parts, some_program
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalcli.engine.registry.plugin_manager import registry
from crystalcli.engine.run import config
from crystalcli.vocabulary.errors import UsageError

LINE = (
    "train graphs merge --arch net plain-net clash --head out --depth --net.depth --no-outer --outer --kind fancy "
    "--seed --train.seed 3 -1 nan 1e3 -c --config none.toml --no- -- - --depth=4 --arch=net --head= -o -ox --tag = "
    "--help -h --json --quiet --targets --clash.seed --= --x.y -q a.h5"
)
FILE = (
    '[train] [train.net] [[train]] [graphs.merge] [x] depth arch = 3 "net" true net . nan [ ] { } # \' epochs targets '
    "[1,'a'] 1979-05-27 é"
)
WORDS = st.sampled_from(LINE.split())
TOKENS = st.sampled_from([*FILE.split(), "\n", " "])


@pytest.fixture(autouse=True, scope="module")
def _parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("words")
    before = Path.cwd()
    os.chdir(folder)
    new = {"XDG_CONFIG_HOME": str(folder), "CRYSTAL_PLUGINS": str(Path(some_parts.__file__))}
    with mock.patch.dict(os.environ, new):
        registry.cache_clear()
        yield
    os.chdir(before)
    registry.cache_clear()


def outcome(args: list[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            some_program.run(args)
        except (UsageError, typer.TyperException) as problem:
            return str(problem)
    return ""


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, max_size=8))
def test_any_line(words: list[str]) -> None:
    assert "\n" not in outcome(["train", *words]).strip() or "Usage" in outcome(["train", *words])


@settings(max_examples=150, deadline=None)
@given(st.lists(TOKENS, max_size=20))
def test_any_file(tokens: list[str]) -> None:
    Path("any.toml").write_text(" ".join(tokens), encoding="utf-8")
    problem = outcome(["train", "-c", "any.toml"])
    assert not problem or problem.startswith("any.toml")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    path = Path("bytes.toml")
    path.write_bytes(data)
    with contextlib.suppress(UsageError):
        layer = config.read(path)
        assert config.line_of(layer.text, ["a"]) is None or layer.text
