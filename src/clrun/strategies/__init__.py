"""Methods, one file each, and what their updates are made of."""
