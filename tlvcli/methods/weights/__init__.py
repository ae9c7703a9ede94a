"""What the weights of a checkpoint say without being run: their statistics, and how two checkpoints differ."""
