"""The steps of `tlv transfer`: its inputs, and what is done to a plan between making and carrying it out."""
