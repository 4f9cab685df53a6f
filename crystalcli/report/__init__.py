"""``crystal report``: runs as a page that opens anywhere."""
