"""Anything that gives energies and forces, behind one protocol."""
