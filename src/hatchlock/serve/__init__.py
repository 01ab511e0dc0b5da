"""Running servers: stdio, watchdog, probe."""
