"""A table on its way to a trained model: read, split, prepare, train."""
