"""What docs/results.py is made of: the paper's experiments, their numbers, and the page."""
