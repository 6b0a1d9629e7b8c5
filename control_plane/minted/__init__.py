"""First answers: a call that mints something can be repeated and gives the same answer."""
