"""The edge out: findings and configuration -> a plan without values -> files; nothing here judges a loss."""
