"""What the files of a run say of it: what was asked, by what, of which inputs, and what came of it."""
