"""The parts of scripts/prove_cuda, each of which runs in a process of its own."""
