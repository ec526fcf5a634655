"""Messages to receivers, over real sockets."""
