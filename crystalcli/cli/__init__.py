"""Commands: one Typer command a file; they parse, call a workflow and show its result."""
