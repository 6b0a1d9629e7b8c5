"""From the end of an attempt to a record in the control plane's database, exactly once."""
