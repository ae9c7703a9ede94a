"""Use cases, one a file: a config, and `run(config) -> Report`."""
