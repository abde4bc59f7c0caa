"""The report: what the ledger holds of some weeks, as figures, charts, one HTML page and a CSV file."""
