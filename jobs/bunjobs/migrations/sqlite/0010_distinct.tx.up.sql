-- Nothing to do: this number is for PostgreSQL's indexes.
SELECT 1;
