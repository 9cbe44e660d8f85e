"""The core driven by a virtual clock: gradients are computed, only time is modelled."""
