"""What the end-to-end tests, the demo and `make bench` stand on: real servers, sources and subscribers."""
