"""Figures of a report, one module each; a method looks the same in all of them."""
