"""Offered, imported, delivered and the facts -> findings with causes; nothing here asks other programs or writes."""
