"""MySQL and MariaDB, by mysqlclient."""
