"""The revision of what a job's run computes, by which finished runs are reused.

Raise it, by one, with every change after which the same job, on the same machine and versions of
libraries, gives other numbers in its run file: another order of additions, another draw of random
numbers, another default that jobs don't spell out, a mended fault of the protocol or of the
simulator's times. Leave it as it is for all else: speed, messages, new fields whose default does
what was done before, new columns. `hybridmpi compare` makes runs of another revision again.
"""

PROTOCOL_REVISION = 1
