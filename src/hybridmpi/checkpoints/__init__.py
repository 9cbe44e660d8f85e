"""Checkpoints: a run's whole state in one file, from which it can go on."""
