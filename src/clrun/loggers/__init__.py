"""What takes a run's numbers besides metrics.jsonl: a table, TensorBoard, trackers."""
