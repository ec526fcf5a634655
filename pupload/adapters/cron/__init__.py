"""The moments of cron expressions."""
