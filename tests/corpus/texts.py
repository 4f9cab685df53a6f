"""Text files: encodings, line ends, and what is no structure at all."""

from corpus.case import NACL, POSCAR, Case, instead, packed, structure_json

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
    Case("utf16_without_mark.cif", NACL.encode("utf-16-le"), "refused", "NUL bytes"),
    Case("random.cif", bytes((k * k * 31 + 7 * k) % 251 + 1 for k in range(2000)), "refused", "no data block"),
    Case("picture.cif", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 200)), "refused", "picture"),
    Case("article.cif", b"%PDF-1.4\n" + NACL.encode(), "refused", "PDF"),
    Case("xml.cif", "<?xml version='1.0'?><cml/>", "refused", "XML"),
    Case("hdf5.cif", b"\x89HDF\r\n\x1a\n" + b"\1" * 99, "refused", "HDF5"),
    Case("bzip2.cif", b"BZh9" + b"1AY&SY" * 20, "refused", "bzip2"),
    Case("xz.cif", b"\xfd7zXZ\x00" + b"\1" * 99, "refused", "xz"),
    Case("poscar.cif", POSCAR, "refused", "no data block"),
    Case("json.cif", structure_json(), "refused", "no data block"),
    Case(
        "control_characters.cif", instead("data_NaCl\n", "data_NaCl\n_note 'a\x07b\x1b[31m'\n"), "good", like_nacl=True
    ),
    Case("packed_twice.cif.gz", packed(packed(NACL.encode())), "refused", "not text"),
    Case("packed_nothing.cif.gz", packed(b""), "refused", "empty"),
    Case("packed_in_two.cif.gz", packed(NACL[:200].encode()) + packed(NACL[200:].encode()), "good", like_nacl=True),
    Case("packed_with_rest.cif.gz", packed(NACL.encode()) + b"rest", "refused", "gzip"),
)
