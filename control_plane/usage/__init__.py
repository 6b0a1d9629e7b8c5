"""Usage: the billable facts, from a proxy's batch to a row in a report."""
