"""Secrets on the host -> OEM strings that arrive whole -> a running VM; nothing here looks at a guest."""
