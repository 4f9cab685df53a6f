"""What ``crystal slabs`` and ``crystal pairs`` ask, and what the words mean; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crystalcli.contracts import run_options as common
from crystalcli.contracts.options import option
from crystalcli.vocabulary.errors import UsageError, did_you_mean

MADE, START, KEPT = "What is made", "Where it starts", "What is left out (0: nothing for that)"
FACETS = ("fcc111", "fcc100", "fcc110", "fcc211", "bcc110", "bcc100", "hcp0001")
KINDS = ("pure", "ordered", "random")
SITES = ("top", "bridge", "hollow", "random")
ADSORBATES = ("H", "O", "CO", "none")


@dataclass(frozen=True, kw_only=True)
class SlabsOptions:
    """Everything that ``crystal slabs`` asks."""

    potential: str = common.potential()
    relaxer: str = option("", "what moves the atoms", names="relaxer")
    elements: str = option("", "metals, fcc, bcc or hcp: Cu,Au,Ni", panel=MADE)
    adsorbates: str = option("none", f"of {','.join(ADSORBATES)}; each as often", panel=MADE, words=ADSORBATES)
    count: int = option(1000, "structures that are made", min=1, max=1_000_000, panel=MADE)
    facets: str = option(
        "", f"of {','.join(FACETS)}; all that the elements have by default", panel=MADE, words=tuple(FACETS)
    )
    kinds: str = option(",".join(KINDS), "pure metals, ordered (L1_0, L1_2) and random alloys", panel=MADE, words=KINDS)
    most_elements: int = option(3, "of a random alloy", min=2, max=8, panel=MADE)
    layers: str = option("2-5", "atomic layers, from-to", panel=MADE)
    free_layers: int = option(2, "upper layers that may move; one at least is held", min=1, panel=MADE)
    repeat: str = option("2-3", "surface cells along each vector, from-to; even for ordered alloys", panel=MADE)
    sites: str = option(",".join(SITES), "where adsorbates are put", panel=MADE, words=SITES)
    vacuum: float = option(12.0, "between a slab and its image", unit="Å", min=2.0, max=100.0, panel=MADE)
    strain: float = option(0.02, "of each axis, up to so much of its length", min=0.0, max=0.2, panel=START)
    rattle: float = option(
        0.05, "standard deviation of each coordinate of free atoms", unit="Å", min=0.0, max=0.5, panel=START
    )
    lift: float = option(
        0.0, "of adsorbates, above where covalent radii touch", unit="Å", min=-0.5, max=3.0, panel=START
    )
    tilt: float = option(
        30.0, "of a molecule against the normal, at most", unit="degrees", min=0.0, max=60.0, panel=START
    )
    fmax: float = option(0.01, "every force is below", unit="eV/Å", min=1e-6)
    steps: int = option(500, "moves at most", min=1)
    max_adsorbate_moved: float = option(
        2.0, "mean over an adsorbate's atoms above which it is lost", unit="Å", min=0.0, panel=KEPT
    )
    min_moved: float = option(
        0.0, "mean over the slab's free atoms below which it is left out", unit="Å", min=0.0, panel=KEPT
    )
    max_moved: float = option(
        0.0, "mean over the slab's free atoms above which it is reconstructed", unit="Å", min=0.0, panel=KEPT
    )
    seed: int = common.seed()
    device: str = common.device()
    threads: int = common.threads()
    jobs: int = common.jobs()
    scheduler: str = common.scheduler()


def words(text: str, known: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """The words of ``text``, each once, in its order.

    Raises:
        UsageError: none, or one that is not ``known``.
    """
    found = tuple(dict.fromkeys(w for w in (part.strip() for part in text.split(",")) if w))
    if not found:
        raise UsageError(f"--{flag} names nothing; several with commas: {','.join(known[:3])}")
    for word in found:
        if word not in known:
            raise UsageError(f"--{flag}: no '{word}'; {did_you_mean(word, known)}")
    return found


def span(text: str, flag: str, most: int) -> tuple[int, int]:
    """``2-5`` or ``3`` as the first and the last number, from 2 on.

    Raises:
        UsageError: no such numbers.
    """
    parts = text.strip().split("-")
    if len(parts) > 2 or not all(p.isascii() and p.isdigit() for p in parts):
        raise UsageError(f"--{flag} '{text}' is neither a number nor two as in 2-5")
    low, high = int(parts[0]), int(parts[-1])
    if not 2 <= low <= high <= most:
        raise UsageError(f"--{flag} {text} is not within 2-{most}, the smaller one first")
    return low, high


@dataclass(frozen=True, kw_only=True)
class PairsOptions:
    """Everything that ``crystal pairs`` asks."""

    structures: tuple[str, ...] = common.structures()
    relaxed: tuple[str, ...] = option(
        (),
        "files or folders of the relaxed structures, matched by id, or by their folders in runs of VASP",
        files=True,
        ends=True,
    )
    initial: str = option(
        "", "array of the files that says where the atoms began, of structures that are relaxed: initial_positions"
    )
    relax_run: str = option("", "run folder of crystal relax: its structures and what they relaxed to", metavar="RUN")
    match: Literal["order", "species", "nearest"] = option(
        "order",
        "atoms by their order, by their order among those of their element, or each to the nearest of its element, by "
        "the least sum of squares",
    )
    cells: bool = option(False, "cells relax, too: relaxed_strain is written, and positions in the start's cell")
    adsorbate: str = option("", "elements of the adsorbate, which gets the tag 2: C,O")
    further_starts: int = option(
        0,
        "further starts of each pair, on the way to the relaxed structure, with noise; they only train",
        min=0,
        max=100,
    )
    noise: float = option(
        0.25, "largest standard deviation of what is added to each coordinate of a further start (Å)", min=0.0, max=1.0
    )
