"""Inputs that nobody would write, and what reading them does: see ../fuzz.py."""
