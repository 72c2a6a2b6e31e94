"""A program's own loop, seen closely enough to judge it: who is called how, stepped how."""
