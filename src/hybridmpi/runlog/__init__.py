"""The run file (HDF5): schema, writer, reader."""
