"""A lesson is made: the example run, its text executed, its studies trained, its bugs checked."""
