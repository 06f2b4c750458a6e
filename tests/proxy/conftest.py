from tests.servers import committed_database, database_template

__all__ = ["committed_database", "database_template"]
