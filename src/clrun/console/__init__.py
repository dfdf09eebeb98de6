"""What a terminal shows: the live display, tables, notes, and text that is safe to print."""
