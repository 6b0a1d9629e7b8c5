"""The whole system on one machine: what `headgate up` runs, and how it keeps it running."""
