"""A guest -> a tree for `--root`, with noise for every secret; it writes only into that new folder."""
