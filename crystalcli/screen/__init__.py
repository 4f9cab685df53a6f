"""Candidates → those worth the next step, in one step or in a campaign."""
