"""A program's own loop, seen closely enough to judge it."""
