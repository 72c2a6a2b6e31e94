"""Any training loop, watched from outside: signals, phases, scores, the script runner."""
