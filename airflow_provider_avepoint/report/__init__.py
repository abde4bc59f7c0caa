"""The report on some weeks of the ledger: figures, charts, one HTML page and a CSV file."""
