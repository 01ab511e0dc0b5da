"""Each kind of resource: what the lock makes of it, how it is observed, how it is made so."""
