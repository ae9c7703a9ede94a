"""What a checkpoint is, from names and shapes alone: `identify`, `describe`, and `recognise` for loading it."""
