"""The problems that ship with this package, and finding one by its name."""
