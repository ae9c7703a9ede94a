"""Closed-form fitting: layers of the target solved for what the source computes on images without labels."""
