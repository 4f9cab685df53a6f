"""CSV tables."""

from corpus.case import NACL, Case

CASES = (
    Case("good.csv", f'id,e,cif\n007,1.5,"{NACL}"\n', "good"),
    Case("one_bad_row.csv", f'id,e,cif\na,1,"{NACL}"\nb,2,junk\n', "refused", "no data block"),
    Case("ragged.csv", f'id,e,cif\na,1,"{NACL}"\nb,2\n', "refused", "columns"),
    Case("no_header.csv", f'a,1,"{NACL}"\n', "refused", "no header"),
    Case("semicolon.csv", f'id;e;cif\na;1;"{NACL}"\n', "refused", "commas"),
    Case("unclosed.csv", f'id,e,cif\na,1,"{NACL}', "refused", "CSV"),
    Case("header_only.csv", "id,e,cif\n", "refused", "no rows"),
)
