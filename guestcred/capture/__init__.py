"""A guest -> a tree for `--root`, with noise for every secret; nothing is written but into that new folder."""
