"""Files of a run of molecular dynamics."""

from __future__ import annotations

from crystalcli.vocabulary.pictures import FORMATS

TRAJECTORY, THERMO, STRUCTURES = "trajectory.extxyz", "thermo.csv", "structures"
LAST, LAST_GOOD, STOPPED_AT = "last.extxyz", "last-good.extxyz", "stopped-at.extxyz"
ANALYSIS = ("rdf.csv", "coordination.csv", "bonds.csv", "msd.csv", "energies.csv")
PICTURES = tuple(f"{name}.{ending}" for name in ("rdf", "bonds", "msd", "energies", "thermo") for ending in FORMATS)
RESTARTS = ("state-*.json", "state-*.safetensors")
CHUNKS = "chunks"
