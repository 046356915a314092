"""The edge out: findings and configuration -> a plan without values -> files; nothing here finds a cause."""
