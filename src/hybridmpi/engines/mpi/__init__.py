"""Real ranks: rank 0 serves, ranks 1..N work."""
