"""What every measurement needs: servers, files, a worker, and a client with a stopwatch."""
