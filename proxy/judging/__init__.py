"""The background of experiments: shadow answers, judges, checks, feedback. No call waits for any of it."""
