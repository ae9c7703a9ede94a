"""How the activations of one network differ between two data sets, kernel by kernel, streamed."""
