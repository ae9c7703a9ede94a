"""Images: which there are, how they are drawn, prepared and batched."""
