"""The seeds' experiments, repeated by `tlv` commands alone; each is `python -m benchmarks.experiments.NAME`."""
