"""Messages to receivers that others name: plain HTTP, on a short leash."""
