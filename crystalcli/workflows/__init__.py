"""Workflows: plain functions without printing; each makes files out of files."""
