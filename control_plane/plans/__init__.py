"""What a policy would decide, and why: the same tree that proxies compile, asked without a call."""
