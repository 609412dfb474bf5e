"""Timeline: what happened at one terminal, from all that the cloud keeps of it, merged newest first."""
