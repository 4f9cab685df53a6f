"""Words everybody shares: errors and exit codes, units, quantities. Imports nothing but the standard library."""
