"""The parts of `tlv predict`."""
