"""The command line: a verb has its own parser, everything else is Hydra's. No torch."""
