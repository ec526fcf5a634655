"""The engine on adapters in memory."""
