"""What the tests and the examples share: neither reaches a network."""

pytest_plugins = ["tests.no_network"]
