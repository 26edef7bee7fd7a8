"""How many multiply-accumulates does one inference take?"""
