"""What tests of all levels share: waiting with a deadline, required parts, clusters, and folders that vanish."""
