"""What the end-to-end tests, the demo and the performance script stand on: real servers, sources and subscribers."""
