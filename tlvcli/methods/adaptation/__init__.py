"""What follows a mapping: weights at He's variance, outputs at unit variance, batch statistics of the data at hand."""
