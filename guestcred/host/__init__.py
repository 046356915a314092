"""The host's half: secrets -> OEM strings that arrive whole -> a running VM."""
