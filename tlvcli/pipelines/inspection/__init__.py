"""The sections of `tlv inspect`: each reads one checkpoint and returns a part of the report."""
