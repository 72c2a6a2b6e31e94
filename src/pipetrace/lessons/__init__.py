"""Questions about a run are drafted from its facts alone, and asked only once executed."""
