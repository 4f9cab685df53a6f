"""Files of a relaxation."""

from __future__ import annotations

STRUCTURES, TABLE, CIFS, TRAJECTORIES = "relaxed.extxyz", "relaxation.csv", "cif", "trajectories"
SHARDS = "shards"
