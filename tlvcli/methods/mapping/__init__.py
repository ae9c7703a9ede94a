"""How one tensor becomes another shape."""
