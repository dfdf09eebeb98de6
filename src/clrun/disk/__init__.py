"""Files that survive: written whole, locked, opened with care, on disks that may be full."""
