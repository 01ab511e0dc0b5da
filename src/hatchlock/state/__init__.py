"""What we did: who holds the lease, what was begun, what is active, and what each finished apply left."""
