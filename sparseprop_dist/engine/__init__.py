"""The schedules: how events become spikes. No I/O, no model names, no communication."""
