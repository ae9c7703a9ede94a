"""Measurements beside a floor or a peer, in one run, interleaved, by medians; never asserted in a test."""
