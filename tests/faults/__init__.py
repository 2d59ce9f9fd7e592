"""What happens to a running registry when processes are killed, the database is away, or the disk is full."""
