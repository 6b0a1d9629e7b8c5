"""The processes of a proxy: one supervisor, one or more workers."""
