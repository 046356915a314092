"""Findings, plans, tables -> text and JSON; it reads and writes no files, and only `dump` can show a value."""
