"""What requests are signed with, where that is not the same for all: tokens that end, and signatures."""
