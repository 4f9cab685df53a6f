"""Formats of pictures as people write them."""

from pathlib import Path

import pytest

from crystalcli.vocabulary.errors import UsageError
from crystalcli.vocabulary.pictures import formats, of_any_format, paths


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("png", ("png",)), ("SVG", ("svg",)), (" pdf, .svg ,pdf", ("pdf", "svg")), ("png,svg,pdf", ("png", "svg", "pdf"))],
)
def test_formats(typed, meant):
    assert formats(typed) == meant


@pytest.mark.parametrize(
    ("typed", "cure"),
    [("svgz", "did you mean 'svg'"), ("", "known: pdf, png, svg"), ("png,", "known: "), ("jpeg", "known: ")],
)
def test_no_such_format(typed, cure):
    with pytest.raises(UsageError, match=cure):
        formats(typed)


def test_a_dot_in_the_name_of_a_target_is_no_ending():
    assert paths(Path("run/parity-e.atom"), "svg,pdf") == [Path("run/parity-e.atom.svg"), Path("run/parity-e.atom.pdf")]
    assert {p.suffix for p in of_any_format([Path("a"), Path("b.c")])} == {".png", ".svg", ".pdf"}
