"""Findings, plans and tables -> text and JSON. Pure; it is given no value that it could leak."""
