"""Findings and configuration -> a plan without values -> files, whole or not at all: the edge out."""
