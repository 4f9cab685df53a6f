"""How good predictions are: one evaluator, errors, calibration."""
