"""What check-setup tries, one file for each system. A check answers a line: ok, or what is wrong and how to mend it."""
