"""Real PostgreSQL and Valkey for one machine, and the supervisor that runs everything; knows nothing of Django."""
