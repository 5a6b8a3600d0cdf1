"""What operators do: a file a noun. Each is one unit of work with its audit event."""
