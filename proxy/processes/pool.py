"""Several workers: placeholder until written below."""


class WorkerPool: ...
