"""What a learner did is kept in a file of their own, and said back with what it is worth."""
