"""What the chaos campaign does to runs, and what must hold afterwards; see `chaos.py`."""
