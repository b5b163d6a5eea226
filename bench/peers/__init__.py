"""What people would use instead, each doing the same work as far as it can."""
