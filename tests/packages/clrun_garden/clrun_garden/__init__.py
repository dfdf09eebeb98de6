"""One of each from outside clrun: a strategy, a storage policy, a metric and a source."""
