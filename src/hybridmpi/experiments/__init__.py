"""What people look at: summaries and figures, from run files only."""
