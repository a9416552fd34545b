"""Per-host monitor: samples, alerts, metrics."""
