"""Text files: encodings, line ends, and what is no structure at all."""

from corpus.case import NACL, Case, packed

CASES = (
    Case("empty.cif", b"", "refused", "empty file"),
    Case("whitespace.cif", " \n\t\n", "refused", "empty file"),
    Case("nul_filled.cif", b"\0" * 512, "refused", "zero-filled"),
    Case("nul_bytes.cif", NACL.encode().replace(b"Na3", b"N\0\0"), "refused", "NUL bytes at offset"),
    Case("html_error_page.cif", "<!DOCTYPE html><html><body>404</body></html>", "refused", "HTML"),
    Case("git_lfs_pointer.cif", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "refused", "Git LFS"),
    Case("zip.cif", b"PK\x03\x04" + b"x" * 99, "refused", "zip archive"),
    Case("prose.cif", "Dear colleague, please find attached the structure.\n", "refused", "no data block"),
    Case("comment_only.cif", "# a comment\n", "refused", "no data block"),
    Case("utf16.cif", NACL.encode("utf-16"), "good", like_nacl=True),
    Case("good_bom.cif", b"\xef\xbb\xbf" + NACL.encode(), "good", like_nacl=True),
    Case("good_latin1.cif", ("# caf\xe9\n" + NACL).encode("latin-1"), "good", like_nacl=True),
    Case("good_crlf.cif", NACL.replace("\n", "\r\n").encode(), "good", like_nacl=True),
    Case("cr_only.cif", NACL.replace("\n", "\r").encode(), "good", like_nacl=True),
    Case("no_final_newline.cif", NACL.rstrip(), "good", like_nacl=True),
    Case("packed.cif.gz", packed(NACL.encode()), "good", like_nacl=True),
    Case("packed_but_not_named_so.cif", packed(NACL.encode()), "good", like_nacl=True),
)
