"""Other systems that pass gradients through a server, or do without one.

Each is a module with one function, `prepare(workers)`, that returns what measures a `Question`. It
runs in a process of its own (`peers.host`), since none of them lives under mpirun.
"""
