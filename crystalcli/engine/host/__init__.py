"""What the host does for every workflow: the life of its run, its record, and what it may ask for."""
