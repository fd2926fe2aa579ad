"""What the learner starts from: signature, shapes and mathematics."""
