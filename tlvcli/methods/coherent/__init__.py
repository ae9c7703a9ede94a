"""Coherent transfer, our own: one index map for each group of channels, between any two networks."""
