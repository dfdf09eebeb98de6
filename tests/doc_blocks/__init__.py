"""Pages of README and docs are read, run and compared with what they show.

`markdown` reads a page, `running` runs it, `shown` compares output, `writing` puts output into the
page, `links` follows what it links to. Tests and `scripts/docs --outputs` use the same.
"""
