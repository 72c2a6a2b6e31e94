"""Views turn blocks into something to look at, and know nothing of what the blocks are about."""
