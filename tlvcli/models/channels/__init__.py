"""From a module to its channel groups, by one forward pass over channel numbers instead of values."""
