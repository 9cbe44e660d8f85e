"""The protocol: no MPI, no clock, no files, no torch."""
