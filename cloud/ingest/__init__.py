"""The straight line from the broker to the ledger."""
