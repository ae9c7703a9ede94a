"""Valid files, damaged at the places that their readers trust, until one of them lets something out but a TlvError."""
