"""Advise a user whose program fails without any crash: what is wrong, what to type next."""
