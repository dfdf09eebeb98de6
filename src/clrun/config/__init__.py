"""From YAML and words to checked keys: composition, types, bounds, trust. No torch."""
