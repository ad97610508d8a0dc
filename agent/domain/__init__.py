"""What we know about an incident, as frozen values. Nothing here waits, reads or writes."""
