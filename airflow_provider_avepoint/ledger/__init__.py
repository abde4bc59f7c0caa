"""The ledger: jobs, verdicts and licence readings in a SQL database, so that an audit has a history."""
