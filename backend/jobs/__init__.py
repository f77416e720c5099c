"""Jobs: what one does, the queue that keeps them, and the process that works them off."""
