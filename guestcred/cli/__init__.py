"""Commands, options and exit statuses; the wiring of the rooms, and no logic of its own."""
