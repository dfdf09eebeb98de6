"""From rows to experiences: scenarios, partitions, labels, CORe50's lists."""
