"""Words in, words out: one small file per command; the only room with typer and rich."""
