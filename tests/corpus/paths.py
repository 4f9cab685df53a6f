"""What is no file to read, and odd names of good files."""

import os
import socket
from pathlib import Path

from corpus.case import NACL, Case, instead


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere.cif")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def _linked(path: Path) -> None:
    (path.parent / "elsewhere.cif").write_text(NACL)
    path.symlink_to("elsewhere.cif")


CASES = (
    Case("dangling.cif", _dangling, "refused", "not a regular file"),
    Case("loop.cif", _loop, "refused", "cannot be looked at"),
    Case("folder.cif", lambda p: p.mkdir(), "refused", "not a regular file"),
    Case("fifo.cif", os.mkfifo, "refused", "not a regular file"),
    Case("structure.docx", "hello", "refused", "unknown format"),
    Case("-dash.cif", NACL, "good", like_nacl=True),
    Case("new\nline.cif", NACL, "good", like_nacl=True),
    Case("[red]markup[bold].cif", NACL, "good", like_nacl=True),
    Case("<b>bold</b>.cif".replace("/", "\u2215"), NACL, "good", like_nacl=True),
    Case("$(touch hacked);`id`.cif", NACL, "good", like_nacl=True),
    Case("x" * 200 + ".cif", NACL, "good", like_nacl=True),
    Case("traversal_block.cif", instead("data_NaCl", "data_../../hacked"), "good", like_nacl=True),
    Case("socket.cif", _socket, "refused", "not a regular file"),
    Case("zero.cif", lambda p: p.symlink_to("/dev/zero"), "refused", "not a regular file"),
    Case("linked.cif", _linked, "good", like_nacl=True),
    Case("no_ending", NACL, "refused", "unknown format"),
    Case("UPPER.CIF", NACL, "good", like_nacl=True),
    Case("space and\ttab.cif", NACL, "good", like_nacl=True),
    Case("structure.cif.bak", NACL, "refused", "unknown format"),
)
