"""Offered against imported against delivered, with the facts: findings with their causes. Pure, but for what it looks up in the tree."""
