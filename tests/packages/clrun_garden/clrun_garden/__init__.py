"""One of each from outside clrun: a strategy, a policy, a metric, a logger and a source."""
