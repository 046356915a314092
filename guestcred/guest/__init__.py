"""The edge in: all that is read of a guest, live or below a root directory. Nothing here judges, prints or writes."""
