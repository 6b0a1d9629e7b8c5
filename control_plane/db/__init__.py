"""PostgreSQL: connections and transactions, the embedded server, migrations, notifications."""
