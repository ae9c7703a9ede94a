"""What a network is: builders, graphs of layers, heads, recognised architectures, hub weights."""
