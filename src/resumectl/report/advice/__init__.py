"""Advise a user whose program fails without any crash: what is wrong, and the next step."""
