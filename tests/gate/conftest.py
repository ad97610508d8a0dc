from tests.databases import address, database, postgres  # noqa: F401
