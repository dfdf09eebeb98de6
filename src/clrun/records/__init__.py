"""The run folder and its files: raw log, states, results, the trained model."""
