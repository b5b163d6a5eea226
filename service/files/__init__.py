"""Files of uploads: which URLs are allowed, and how files are fetched, checked and stored."""
