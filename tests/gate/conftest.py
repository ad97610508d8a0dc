from tests.databases import address, database, postgres, postgres_server  # noqa: F401
