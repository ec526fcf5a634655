"""Containers on the local Docker engine: `executor.DockerExecutor` is `ports.Executor`."""
