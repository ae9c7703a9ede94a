"""What answers to labelled images are worth: measures, their uncertainty, and the difference of two networks."""
