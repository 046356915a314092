"""The rules of systemd as facts of its versions, and the bus by which PID 1 is asked; nothing here reads a guest's files."""
