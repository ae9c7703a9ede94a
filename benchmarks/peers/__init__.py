"""The loops that training is measured beside, one process each, and ours driven in the same way."""
