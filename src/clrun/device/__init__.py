"""Where and how numbers are computed: device, precision, threads, compilation, rows on it."""
