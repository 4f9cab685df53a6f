"""What every capability stands on: files in, graphs, models, potentials, and the life of a run."""
