"""The authority: stores, snapshots, streams to proxies, usage ingest and the admin API."""
