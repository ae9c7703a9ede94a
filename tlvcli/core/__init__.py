"""Nouns everything else is made of; no torch outside `runtime`."""
