"""Which source layer feeds which target layer."""
