"""Which parameters train, and how: a plan as a value."""
