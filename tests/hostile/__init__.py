"""Files made to harm: what each does to a reader that trusts it, and what it may cost ours."""
