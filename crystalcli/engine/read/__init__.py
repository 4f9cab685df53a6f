"""From paths to structures: what to read, by which reader, in worker processes."""
