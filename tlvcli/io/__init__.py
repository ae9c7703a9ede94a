"""Bytes: checkpoints, reports and config files, read safely and written atomically."""
