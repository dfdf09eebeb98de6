"""The sides of the cases: modules whose `measure(case)` returns the numbers of one process."""
