"""Random damage to good files."""

import numpy as np

PIECES = [
    "",
    "nan",
    "-1",
    "1e400",
    "0x1F",
    "'",
    '"',
    ";",
    "\n",
    "data_",
    "loop_",
    "?",
    "[",
    "{",
    "999999999",
    "\x07",
    "é",
]


def damaged(text: str, rng: np.random.Generator, most: int = 3) -> bytes:
    """One to ``most`` of: a byte changed, a piece cut out or put in, lines shuffled, a number replaced."""
    for _ in range(rng.integers(1, most + 1)):
        at, length = int(rng.integers(0, len(text) + 1)), int(rng.integers(0, 12))
        kind = rng.integers(0, 5)
        if kind == 0 and at < len(text):
            text = text[:at] + chr(int(rng.integers(0, 256))) + text[at + 1 :]
        elif kind == 1:
            text = text[:at] + text[at + length :]
        elif kind == 2:
            text = text[:at] + PIECES[rng.integers(0, len(PIECES))] + text[at:]
        elif kind == 3:
            lines = text.split("\n")
            i, j = rng.integers(0, len(lines), 2)
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        else:
            words = text.split(" ")
            words[rng.integers(0, len(words))] = PIECES[rng.integers(0, len(PIECES))]
            text = " ".join(words)
    return text.encode("latin-1" if rng.random() < 0.5 else "utf-8", errors="replace")
