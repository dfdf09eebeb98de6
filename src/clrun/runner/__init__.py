"""One run from its parts to its results: learn, score, record, save, go on."""
