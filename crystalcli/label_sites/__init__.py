"""Structures → the same structures with computed labels of their sites."""
