"""Contract tests that built-in and third-party plugins inherit."""
