"""Who drives the core."""
