"""A stream as it is before anything is trained on it: counts, sizes, updates, images."""
