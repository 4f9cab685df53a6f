"""How good predictions are: errors, calibration, stability."""
