"""Commands, options and exit statuses, wired from the rooms; nothing that another room could do."""
