"""Places where pipetrace is used that are not a shell: notebooks first."""
