"""Findings, plans, tables -> text, JSON, a page; it reads and writes no files, and only `dump` can show a value."""
