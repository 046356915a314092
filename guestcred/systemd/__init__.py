"""The rules of systemd as facts of its versions, and the bus to PID 1; nothing here opens a guest's files."""
