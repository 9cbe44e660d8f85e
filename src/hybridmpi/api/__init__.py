"""hybridmpi from Python: what the commands do, as functions that return what they find."""
