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
    Case("utf16.csv", f'id,e,cif\na,1,"{NACL}"\n'.encode("utf-16"), "good"),
    Case("marked.csv", b"\xef\xbb\xbf" + f'id,e,cif\na,1,"{NACL}"\n'.encode(), "good"),
    Case("nul.csv", b'id,e,cif\na,1,"' + NACL.encode() + b'\0"\n', "refused", "NUL"),
    Case("no_structures.csv", "id,e\na,1\nb,2\n", "refused", "no CIF column"),
    Case("column_twice.csv", f'id,e,e,cif\na,1,2,"{NACL}"\n', "refused", "occurs twice"),
    Case("id_twice.csv", f'id,e,cif\na,1,"{NACL}"\na,2,"{NACL}"\n', "good", structures=2),
    Case("no_id.csv", f'id,e,cif\n,1,"{NACL}"\n', "good", ""),
    Case("empty_cell.csv", f'id,e,cif\na,1,"{NACL}"\nb,2,\n', "refused", "no data block"),
    Case("quote_inside.csv", f'id,e,cif\na"b,1,"{NACL}"\n', "good"),
    Case("page.csv", "<html><body>503</body></html>", "refused", "HTML"),
)
