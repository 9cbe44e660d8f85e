"""Run files are read by a process of its own: HDF5 trusts metadata that can make it crash."""
