"""Slurm: the script of a batch job, the line that starts its ranks, and its place in the queue."""
