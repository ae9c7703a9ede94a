"""What `tlv train` is made of: settings, plan, steps, epochs, and the folder of a run."""
