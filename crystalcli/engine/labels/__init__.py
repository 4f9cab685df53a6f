"""Labels of structures and sites: asked for, read, audited, and computed."""
