"""The migrations, one in a file, oldest first."""
