"""Rules on silent bugs: pure readers of what a run has stated."""
