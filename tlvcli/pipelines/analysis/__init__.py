"""The parts of `tlv analyze-stats`: what it is asked, the four kinds of answer, and what is written beside them."""
