"""What every measurement takes: servers, files, a worker, and a client that keeps the time."""
