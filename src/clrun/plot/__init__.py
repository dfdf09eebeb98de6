"""Figures for papers: static, of the size of a column, the same bytes from the same runs."""
