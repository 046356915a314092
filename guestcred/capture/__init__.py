"""A guest -> a tree that `--root` reads, with noise for every secret."""
