"""Probes run something again, after the user's program, and leave everything as they found it."""
