"""Provider keys: the tenants' own secrets for their providers, sealed."""
