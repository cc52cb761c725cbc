//! The kinds of files that may be sent, by the extension of a name, or by what is in them when no name is given.

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileType {
    pub(crate) extension: &'static str,
    pub(crate) mimetype: &'static str,
    /// As people call it.
    pub(crate) name: &'static str,
}

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const ODT: &str = "application/vnd.oasis.opendocument.text";
const DOC: &str = "application/msword";
const TEXT: &str = "text/plain";
const CSV: &str = "text/csv";

/// Sorted by extension, as the message about others lists them. Of two with one mimetype, the first is what a file without a
/// name gets.
pub(crate) const TYPES: [FileType; 12] = [
    FileType { extension: "csv", mimetype: CSV, name: "CSV file" },
    FileType { extension: "doc", mimetype: DOC, name: "Word document" },
    FileType { extension: "docx", mimetype: DOCX, name: "Word document" },
    FileType { extension: "jpeg", mimetype: "image/jpeg", name: "JPEG image" },
    FileType { extension: "jpg", mimetype: "image/jpeg", name: "JPEG image" },
    FileType { extension: "json", mimetype: "application/json", name: "JSON file" },
    FileType { extension: "odt", mimetype: ODT, name: "OpenDocument text" },
    FileType { extension: "pdf", mimetype: "application/pdf", name: "PDF" },
    FileType { extension: "png", mimetype: "image/png", name: "PNG image" },
    FileType { extension: "rtf", mimetype: "application/rtf", name: "Rich Text document" },
    FileType { extension: "txt", mimetype: TEXT, name: "text file" },
    FileType { extension: "xlsx", mimetype: XLSX, name: "Excel spreadsheet" },
];

impl FileType {
    /// In whichever case.
    pub(crate) fn by_extension(extension: &str) -> Option<Self> {
        TYPES.into_iter().find(|known| known.extension.eq_ignore_ascii_case(extension))
    }

    /// By what stands after the last dot.
    ///
    /// # Errors
    /// The words for the caller.
    pub(crate) fn of_name(filename: &str) -> Result<Self, String> {
        let extension = filename.rsplit('.').next().unwrap_or_default();
        Self::by_extension(extension).ok_or_else(|| unsupported(&format!(".{extension}")))
    }

    /// By what is in it. Text that is said to be CSV is.
    ///
    /// # Errors
    /// The words for the caller.
    pub(crate) fn of_content(content: &[u8], is_csv: bool) -> Result<Self, String> {
        let mimetype = match mimetype(content) {
            TEXT if is_csv => CSV,
            found => found,
        };
        TYPES.into_iter().find(|known| known.mimetype == mimetype).ok_or_else(|| unsupported(mimetype))
    }
}

fn unsupported(found: &str) -> String {
    let supported: Vec<String> = TYPES.iter().map(|known| format!("'.{}'", known.extension)).collect();
    format!("Unsupported file type '{found}'. Supported types are: {}", supported.join(", "))
}

fn mimetype(content: &[u8]) -> &'static str {
    if content.is_empty() {
        return "application/x-empty";
    }
    match infer::get(content).map(|known| known.mime_type()) {
        // Any container of old Office files, and any archive: what they are is told by the names inside.
        Some(DOC) if !contains(content, &utf_16("WordDocument")) => "application/x-ole-storage",
        Some("application/zip") => archive(content),
        Some(known) if known.starts_with("text/") || TYPES.iter().any(|ours| ours.mimetype == known) => known,
        // Two or three letters are enough for some kinds to be recognised by, and a text may begin with them.
        _ if is_text(content) => kind_of_text(content),
        Some(known) => known,
        None => "application/octet-stream",
    }
}

fn archive(content: &[u8]) -> &'static str {
    if contains(content, b"word/document.xml") {
        DOCX
    } else if contains(content, b"xl/workbook.xml") {
        XLSX
    } else {
        "application/zip"
    }
}

fn contains(content: &[u8], searched: &[u8]) -> bool {
    content.windows(searched.len()).any(|window| window == searched)
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// In any encoding that has ASCII's control characters where ASCII has them, or UTF-16 that says so.
fn is_text(content: &[u8]) -> bool {
    let control = |byte: &u8| matches!(byte, 0..=6 | 14..=26 | 28..=31 | 127);
    matches!(content, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || !content.iter().any(control)
}

fn kind_of_text(content: &[u8]) -> &'static str {
    let is_container = matches!(content.trim_ascii_start(), [b'{' | b'[', ..]);
    if is_container && serde_json::from_slice::<serde::de::IgnoredAny>(content).is_ok() {
        "application/json"
    } else if is_table(content) {
        CSV
    } else {
        TEXT
    }
}

/// At least two lines, of which the first ten have the same number of commas outside quotes.
fn is_table(content: &[u8]) -> bool {
    let mut counts =
        content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).map(|line| {
            let outside = line.split(|byte| *byte == b'"').step_by(2);
            outside.flatten().filter(|byte| **byte == b',').count()
        });
    let Some(first) = counts.next().filter(|commas| *commas > 0) else { return false };
    let others: Vec<usize> = counts.take(9).collect();
    !others.is_empty() && others.iter().all(|commas| *commas == first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(content: &[u8]) -> &'static str {
        FileType::of_content(content, false).map_or_else(|_| mimetype(content), |found| found.extension)
    }

    /// A local header of a ZIP archive with this name.
    fn zip(name: &str) -> Vec<u8> {
        [&b"PK\x03\x04\x14\0\0\0\0\0"[..], &[0; 20], name.as_bytes()].concat()
    }

    #[test]
    fn what_has_no_name_is_known_by_its_content() {
        let ole = [&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1][..], &[0; 600]].concat();
        let word = [ole.clone(), utf_16("WordDocument")].concat();
        let odt = zip("mimetypeapplication/vnd.oasis.opendocument.text");
        for (content, kind) in [
            (&b"%PDF-1.4 permit"[..], "pdf"),
            (b"{\\rtf1 permit}", "rtf"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
            (&word, "doc"),
            (&odt, "odt"),
            (&zip("word/document.xml"), "docx"),
            (&zip("xl/workbook.xml"), "xlsx"),
            (br#" {"permits": [1, 2]}"#, "json"),
            (b"name,town\r\nRosa,Leeds\r\n", "csv"),
            (b"name,town\n\"Rosa, B.\",Leeds\n", "csv"),
            (b"Dear Rosa, hello\nyour permit\n", "txt"),
            (b"one, line", "txt"),
            (b"{not json}", "txt"),
            (b"BMW permits", "txt"),
            (b"MZ", "txt"),
            (b"Gr\xfc\xdfe", "txt"),
            (&utf_16("\u{feff}Grüße"), "txt"),
            (b"", "application/x-empty"),
            (&ole, "application/x-ole-storage"),
            (&zip("photo.raw"), "application/zip"),
            (b"\0pdf file contents\n", "application/octet-stream"),
            (b"GIF89a\0\0", "image/gif"),
            (b"<html><p>hello</p></html>", "text/html"),
            (b"#!/bin/sh\nls\n", "text/x-shellscript"),
        ] {
            assert_eq!(found(content), kind, "{:?}", content.escape_ascii().to_string());
        }
    }

    #[test]
    fn text_that_is_said_to_be_csv_is_and_nothing_else_is() {
        let said = |content: &[u8]| FileType::of_content(content, true).map(|found| found.extension);
        assert_eq!(said(b"one, line"), Ok("csv"));
        assert_eq!(said(b"%PDF-1.4"), Ok("pdf"));
        assert!(said(b"\0").is_err());
    }

    #[test]
    fn a_name_ends_with_a_known_extension() {
        for (name, extension) in
            [("a.b.pdf", "pdf"), (".PDF", "pdf"), ("Report.CSV", "csv"), ("a.b.JpEg", "jpeg")]
        {
            assert_eq!(FileType::of_name(name).map(|found| found.extension), Ok(extension), "{name}");
        }
        for (name, found) in [("a.exe", ".exe"), ("a.", "."), ("a.EXE", ".EXE"), ("a.pdf ", ".pdf ")] {
            let message = FileType::of_name(name).unwrap_err();
            assert!(
                message.starts_with(&format!("Unsupported file type '{found}'. Supported types")),
                "{message}"
            );
        }
    }

    #[test]
    fn the_message_lists_the_extensions_in_order() {
        assert_eq!(
            unsupported(".exe"),
            "Unsupported file type '.exe'. Supported types are: '.csv', '.doc', '.docx', '.jpeg', '.jpg', '.json', '.odt', \
             '.pdf', '.png', '.rtf', '.txt', '.xlsx'"
        );
        assert!(TYPES.is_sorted_by_key(|known| known.extension));
    }

    proptest! {
        #[test]
        fn no_content_panics(
            start in prop::sample::select(vec![
                &b""[..], b"PK\x03\x04", b"PK\x03\x04\x14\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0[Content_Types].xml",
                b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"%PDF", b"RIFF", b"\0\0\0\x18ftyp", b"\x1a\x45\xdf\xa3", b"{",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let content = [start, &rest].concat();
            let _ = FileType::of_content(&content, false);
        }
    }
}
