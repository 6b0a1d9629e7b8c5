"""gRPC: who may call what, thin translations between messages and services, errors as status."""
