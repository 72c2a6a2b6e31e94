"""The page of a lesson: its text with the facts of a run, and what was executed for it."""
