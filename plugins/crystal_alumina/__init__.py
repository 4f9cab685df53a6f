"""Reader of the alumina molecular-dynamics files."""
