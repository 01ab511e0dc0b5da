"""From trees to container images: bytes that depend on the lock alone."""
