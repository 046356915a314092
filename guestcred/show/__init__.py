"""Findings, plans, tables -> text and JSON; nothing here reads or writes files, and only `dump` can show a value."""
