"""The native surface: flows, runs, uploads and projects under `/api/v1`."""
