"""The verbs of `tlv` as functions for notebooks and scripts; `tlvcli` itself hands them out."""
