"""Real guests: Debian images under QEMU's software emulation, and what PID 1 really did in them."""
