"""One forward, op by op: replayed from a snapshot, compared with the original, put back."""
