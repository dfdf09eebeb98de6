"""Where the time goes: named spans, clocks, peaks. Nothing of it costs when it is off."""
