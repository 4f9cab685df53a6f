"""Pages of the documentation as programs: files are written, commands run in order, what they show is compared.

In a page

- a fenced block with a title (```` ```python title="alloys.py" ````) is a file of that name;
- a line of a ```` ```console ```` block that begins with ``$ `` is a command; the lines below it are lines of what it
  says, in that order, others left out. Numbers with a decimal point may differ by a quarter, times by anything;
  ``[exit code 3]`` is how it ends, where that is not 0;
- a ```` ```sh ```` block is commands, of which nothing is shown; ```` ```python ```` without a title is a program;
- a block below ``<!-- not run: REASON -->`` is left alone;
- a picture's title is the file that a command made (``![parity](../images/x.png "runs/x/parity.png")``).

``python tests/doc_pages.py docs/tutorials/*.md`` runs pages and keeps their pictures below docs/images; ``--show``
prints all that the commands say.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LARGEST = 100_000
"""Bytes of a picture in the documentation."""
CLOSE = 0.25
"""How far a measured number may be off, of the larger one: another processor, another order of sums."""

FENCE = re.compile(r"^(<!-- not run:.*?-->\n+)?```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+) \"([^\"]+)\"\)")
NUMBER = re.compile(r"[+\-−]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is, its text, its first line in the page."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All blocks of ``page`` that are meant to be run or written."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        skipped, language, rest, body = match.groups()
        title = re.search(r'title="([^"]+)"', rest)
        if not skipped:
            line = text.count("\n", 0, match.start(4)) + 1
            found.append(Block(language, title.group(1) if title else "", body, line))
    return found


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Commands of a block, each with the lines that it is to say."""
    if block.language in ("sh", "python"):
        yield block.text if block.language == "sh" else f"python - <<'END'\n{block.text}END", []
        return
    command, said = "", list[str]()
    going_on = False
    for line in block.text.splitlines():
        if line.startswith("$ ") or going_on:
            if not going_on and command:
                yield command, said
            command = command + "\n" + line if going_on else line[2:]
            said = said if going_on else []
            going_on = line.endswith("\\")
        elif line.strip() not in ("", "…"):
            said.append(line)
    if command:
        yield command, said


def run(
    page: Path,
    folder: Path,
    *,
    shorter: Mapping[str, str] | None = None,
    show: bool = False,
    here: bool = False,
    **variables: str,
) -> str:
    """Run ``page`` in ``folder``; return what it said.

    Args:
        page, folder: what is run, and where.
        shorter: texts of commands, and what is typed in their place.
        show: print what the commands say.
        here: lines of ``crystal`` run in this process, which spares the seconds of importing.
        variables: of the environment.
    """
    env = os.environ | {
        "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        "COLUMNS": "120",
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    everything = ""
    for block in blocks(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language in ("sh", "console", "python"):
            for typed, wanted in commands(block):
                command = typed
                for long, short in (shorter or {}).items():
                    command = command.replace(long, short)
                for line in command.splitlines() if here else [command]:
                    began = time.monotonic()
                    done = (_here if here else _there)(line, folder, env | variables)
                    said = done.stdout + done.stderr
                    if show:
                        print(f"$ {line}\n{said}[{time.monotonic() - began:.0f} s]", flush=True)
                    where = f"{page.name}:{block.line}: $ {line}"
                    ends = [w for w in wanted if w.startswith("[exit code ")]
                    assert [f"[exit code {done.returncode}]"] == (ends or ["[exit code 0]"]), f"{where}\n{said}"
                    missing = lines_missing([w for w in wanted if w not in ends], said)
                    assert not missing, f"{where}\ndoes not say\n{missing}\nbut\n{said}"
                    everything += said
    return everything


def _there(command: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=1800
    )


def _here(line: str, folder: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A line of ``crystal`` with its globs filled in as a shell does it."""
    from in_process import crystal

    program, *words = shlex.split(line, comments=True)
    assert program == "crystal", line
    found = (sorted(str(p.relative_to(folder)) for p in folder.glob(w)) if "*" in w else [w] for w in words)
    return crystal([w for words in found for w in words], folder, env)


def lines_missing(wanted: Iterable[str], said: str) -> str:
    """The first of the lines that ``said`` has not, after those before it; nothing if all are there."""
    left = iter(said.splitlines())
    for line in wanted:
        if not any(alike(line, other) for other in left):
            return line
    return ""


def alike(shown: str, said: str) -> bool:
    """Whether two lines are the same but for spaces, the digits of measured numbers, and times."""
    shown, said = (re.sub(r"[\s│┃|]+", " ", s).strip() for s in (shown, said))
    if NUMBER.sub("#", shown) != NUMBER.sub("#", said):
        return False
    pairs = zip(NUMBER.finditer(shown), NUMBER.finditer(said), strict=True)
    return all(_close(a.group(), b.group()) or re.match(r" (?:s|min)\b", shown[a.end() :]) for a, b in pairs)


def _close(a: str, b: str) -> bool:
    if "." not in a + b and "e" not in a + b:
        return a == b
    x, y = (float(n.replace("−", "-")) for n in (a, b))
    digit = 10.0 ** -len(a.partition(".")[2].partition("e")[0])  # one off in the last place is rounding
    return abs(x - y) <= CLOSE * max(abs(x), abs(y)) + 1.01 * digit


def pictures(page: Path) -> Iterator[tuple[Path, str]]:
    """Pictures of a page: the file in the documentation, and the file that a command made."""
    for name, made in PICTURE.findall(page.read_text(encoding="utf-8")):
        yield (page.parent / name).resolve(), made


def begin(folder: Path) -> Path:
    """A folder as the pages want it: with the examples that come with crystal."""
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def smaller(path: Path) -> bytes:
    """The picture, in 64 colours if it is a large PNG."""
    if path.suffix == ".png" and path.stat().st_size > LARGEST // 2:
        from PIL import Image

        image = Image.open(path).convert("RGB")
        image.thumbnail((1200, 1200))
        image.quantize(64).save(path, optimize=True)
    return path.read_bytes()


def main() -> None:
    """Run pages and keep their pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    args = parser.parse_args()
    for page in args.pages:
        folder = args.keep or Path(tempfile.mkdtemp())
        folder.mkdir(exist_ok=True)
        began = time.monotonic(), os.times().children_user
        run(page, begin(folder), show=args.show)
        wall, user = time.monotonic() - began[0], os.times().children_user - began[1]
        for place, made in pictures(page):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(smaller(folder / made))
        print(f"{page}: {wall:.0f} s, {user:.0f} s of processor")
        if not args.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
