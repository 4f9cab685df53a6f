"""Files and folders of a screening."""

from __future__ import annotations

TABLE, SURVIVORS, STAGES, STRUCTURES = "screening.csv", "survivors.txt", "stages.csv", "relaxed.extxyz"
PHASES = "phases.csv"
"""The known phases that shape the hulls of the candidates."""
HULL, CURVE = "hull-", "cost-recall"
JOURNALS = "work"
"""Folder of the journals of the stages, which stay: results of others are in them."""
PREDICTIONS = "predictions"
"""Folder of the journals of predictions, while a run is under way."""
MODEL, MODELS = "model", "models"
"""Folder of the ensemble of a screening in one step; that of the ensembles of a campaign."""
CALLS = "calls"
"""Folder of the commands of stages."""
