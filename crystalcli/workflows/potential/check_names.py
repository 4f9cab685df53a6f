"""Names of the checks, in the order in which they are tried. Loads nothing heavy: help and completion want them."""

from __future__ import annotations

OF_STRUCTURES = {
    "noise": "answers scatter no more than single precision does",
    "repeat": "asked again, the same answer",
    "translation": "moved, and atoms by lattice vectors",
    "rotation": "turned: energy the same, forces and stress turn",
    "mirror": "reflected",
    "permutation": "another order of the atoms",
    "supercell": "twice the crystal, twice the energy",
    "cell": "other vectors of the same lattice",
    "forces": "the derivative of the energy, by differences",
    "stress": "the derivative by the strain, by differences",
    "smooth": "no jumps of energy and forces as a crystal grows",
    "drift": "energy stays in undisturbed dynamics",
    "speed": "time of a call",
}
OF_PAIRS = {
    "core": "two atoms repel each other all the way in",
    "pair-smooth": "no jumps as two atoms part",
}
CHECKS = (*OF_STRUCTURES, *OF_PAIRS)
