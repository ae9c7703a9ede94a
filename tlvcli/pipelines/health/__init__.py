"""The parts of `tlv doctor`: what an installation needs, looked at one by one."""
