"""The plugins that are installed: found, loaded, checked."""
