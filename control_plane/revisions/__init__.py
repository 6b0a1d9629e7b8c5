"""The history: every change is one transaction with one revision and its audit rows."""
