"""Pages that show runs: self-contained HTML of our own templates, drawings and script. No torch."""
