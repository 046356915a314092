"""The edge in: all that is read of a guest, live or below a root; nothing here judges a loss, prints or writes."""
