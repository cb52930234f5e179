"""PostgreSQL, by psycopg and by psycopg2."""
