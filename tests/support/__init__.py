"""What tests stand on: twins of the outside world that can be made to fail."""
