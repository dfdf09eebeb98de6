"""Networks, BatchReNorm, weights, and cutting any model in two at a named layer."""
