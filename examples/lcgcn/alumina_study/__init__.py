"""The study of alumina as a program: what is trained on what, journaled cell by cell, and the tables that come out."""
