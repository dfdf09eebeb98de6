"""Rows of uint8 in memory or in files: decoding, cache, downloads, augmentation."""
