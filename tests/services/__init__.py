"""Real servers for tests, started when the first test asks for one."""
