"""Transfer learning for computer vision on checkpoint files."""

__version__ = "0.1.0"
