"""What `tlv compare` is made of: the grid, its cells, the processes that run them, and what is said of them."""
