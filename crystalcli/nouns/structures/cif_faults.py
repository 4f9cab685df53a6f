"""What is wrong with a CIF that does not parse: the line, in words of our own, and what its author probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from crystalcli.vocabulary.errors import InputError

_SAID = re.compile(r"string(?::(\d+))?(?::(\d+)\(\d+\))?\s*(?:in [^:]*)?:?\s*(.*)", re.DOTALL)
_TOKEN = re.compile(r"""'.*?'(?=\s|$)|".*?"(?=\s|$)|#.*|\S+""")
_RESERVED = re.compile(r"(data_|loop_|global_|save_|stop_)", re.IGNORECASE)
_SHOWN = 60
_SCANNED = 2_000
"""Characters of a line, and ten times as many lines, that are looked at: an explanation may not take long."""
QUOTES = "a value with blanks needs quotes"


def explain(message: str, lines: Sequence[str], before: int = 0, path: Path | None = None) -> InputError:
    """The error of a block that the parser refuses.

    Args:
        message: what gemmi says: ``string:LINE:COLUMN(OFFSET): WHAT`` or ``string:LINE in data_x: WHAT``.
        lines: of the block.
        before: lines of the file before the block.
        path: the file.
    """
    match = _SAID.match(message)
    number = int(match[1] or 1) if match else 1
    column = int(match[2] or 0) if match else 0
    what = match[3] if match else message
    number, said = _words(what, lines, min(number, len(lines)), column)
    return InputError(f"not a CIF: {said}", path=path, line=before + number, code="syntax")


def _words(what: str, lines: Sequence[str], number: int, column: int) -> tuple[int, str]:
    """The number of the line at fault, from 1, and what is wrong with it."""
    if "values in loop" in what:
        return _loop(lines, number)
    if "text field" in what:
        opened = [k for k, text in enumerate(lines, 1) if text.startswith(";")]
        return (opened[-1] if opened else number), "unterminated text: the ';' of this line has no partner"
    line = lines[number - 1]
    triple = "'''" in line or '"""' in line
    known = {
        "unterminated": "triple quotes are CIF 2; write CIF 1.1" if triple else f"unterminated quotes: {_show(line)}",
        "block header": f"no data block (is this a CIF?): it begins with {_show(line)}",
        "duplicate tag": f"duplicate tag {what.rsplit(maxsplit=1)[-1]}",
        "has no value": f"{what.split(maxsplit=1)[0]} has no value",
        "save_": "a save_ frame without a name, or one too many",
    }
    return number, next((said for word, said in known.items() if word in what), "") or _unparsed(lines, number, column)


def _unparsed(lines: Sequence[str], number: int, column: int) -> str:
    """Where gemmi only knows that it cannot go on: the usual reasons, the most certain first."""
    line = lines[number - 1]
    here = line[column : column + 1]
    tag, *given = _tokens(line) or [""]
    if not tag.startswith("_"):
        tag, given = "", [tag, *given]
    value = given[0] if given else ""
    reserved = _RESERVED.match(value)
    above = lines[number - 2].split() if number > 1 else []
    reasons = (
        (here and not here.isprintable() and here != "\t", f"a control character ({here.encode()!r})"),
        (
            tag and value[:1] in ("[", "{"),
            f"a value that begins with '{value[:1]}' is CIF 2; write CIF 1.1, or quote it",
        ),
        (here == "$", "a value may not begin with '$'; quote it"),
        (tag and value.startswith("_"), f"{tag} has no value, or one that begins with '_' and needs quotes"),
        (tag and reserved, f"the value of {tag} begins with '{value[:5]}'; quote it"),
        (len(given) > 1 and tag, f"the value of {tag} has blanks and needs quotes: {_show(line.strip()[len(tag) :])}"),
        (value.lower().startswith("data_"), f"{_show(line)}: the name of a block has no blanks"),
        (value.lower().startswith("save_") or number == len(lines), "a save_ frame is not closed"),
        (above == ["loop_"], "a loop_ without names of its columns"),
    )
    return next((said for is_so, said in reasons if is_so), f"{_show(line)} belongs to no tag; {QUOTES}")


def _loop(lines: Sequence[str], number: int) -> tuple[int, str]:
    """The first row with another number of values than there are columns; ``loop_`` is on line ``number``."""
    columns = 0
    rows: list[tuple[int, int]] = []
    for k, tokens in _rows(lines, number):
        if tokens[0].startswith("_") and not rows:
            columns += len([t for t in tokens if t.startswith("_")])
            continue
        if tokens[0].startswith("_") or _RESERVED.match(tokens[0]):
            break
        rows.append((k, len(tokens)))
    if not rows:
        return number, "loop incomplete: names of columns and no values"
    odd = [(k, n) for k, n in rows if n != columns]
    if not odd or 1 < len(rows) < 2 * len(odd):
        total = sum(n for _, n in rows)
        return number, f"loop incomplete: {total} values do not fill {columns} columns; {QUOTES}"
    k, n = odd[0]
    cure = f"; {QUOTES}" if n > columns else ""
    return k, f"loop incomplete: {n} values in this line for {columns} columns{cure}"


def _rows(lines: Sequence[str], number: int) -> Iterator[tuple[int, list[str]]]:
    """Number and values of each line from the loop_ on; a text field counts as the value it is."""
    field = False
    for k, line in enumerate(lines[number - 1 : number + 10 * _SCANNED], number):
        if line.startswith(";"):
            field = not field
            if field:
                yield k, ["text"]
            continue
        tokens = [] if field else _tokens(line)
        if tokens and tokens[0].lower() == "loop_":
            if k > number:
                return
            tokens = tokens[1:]
        if tokens:
            yield k, tokens


def _tokens(line: str) -> list[str]:
    return [t for t in _TOKEN.findall(line[:_SCANNED]) if not t.startswith("#")]


def _show(line: str) -> str:
    text = line.strip()
    return f"'{text}'" if len(text) <= _SHOWN else f"'{text[: _SHOWN - 1]}…'"
