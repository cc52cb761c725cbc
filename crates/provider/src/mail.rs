//! An e-mail as it goes over the wire: headers, plain text and HTML.
//!
//! Nothing that a service or a caller wrote can add a header: names and subjects become one line, addresses and links
//! are taken only if they hold nothing but the characters of their kind.
//!
//! Words arrive as they were typed. What a mail program would read otherwise (an encoded word that somebody typed, two
//! spaces at the end of a line, a word that fits on no line) is encoded, although it is ASCII.

use std::fmt::Write;

use domain::{email::fits_a_header, email_address::EmailAddress, id::NotificationId, retry::SendFailure};
use email_encoding::headers::{quoted_string, rfc2047, writer::EmailWriter};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MessageId},
    },
};

/// A rendered e-mail.
#[derive(Clone, Copy)]
pub struct Mail<'a> {
    pub id: NotificationId,
    /// The display name of the sender.
    pub from_name: &'a str,
    /// The part of the sender's address before the `@`; the domain is the platform's.
    pub from_local_part: &'a str,
    pub to: &'a str,
    pub reply_to: Option<&'a str>,
    pub subject: &'a str,
    pub plain: &'a str,
    pub html: &'a str,
    /// Offered to mail programs as one-click unsubscribing.
    pub unsubscribe_url: Option<&'a str>,
}

/// Personal data: only the id shows.
impl std::fmt::Debug for Mail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Ready to be handed to a server.
pub struct Composed {
    pub(crate) id: NotificationId,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) bytes: Vec<u8>,
}

impl Composed {
    /// In bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Personal data: only the id shows.
impl std::fmt::Debug for Composed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composed").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Puts the message together. What cannot be put together never will be: such a failure is final.
pub(crate) fn compose(mail: &Mail<'_>, domain: &str) -> Result<Composed, SendFailure> {
    let from = Address::new(mail.from_local_part, domain).map_err(|_| rejected("the sender's address"))?;
    let to = address(mail.to).ok_or_else(|| rejected("the recipient's address"))?;
    let message_id = message_id(mail.id, domain);
    let envelope =
        Envelope::new(Some(from.clone()), vec![to.clone()]).map_err(|_| rejected("the envelope"))?;

    let mut builder = Message::builder()
        .envelope(envelope)
        .raw_header(from_header(mail.from_name, &from))
        .to(Mailbox::new(None, to.clone()))
        .raw_header(subject_header(mail.subject))
        .header(MessageId::from(format!("<{message_id}>")))
        // RFC 3834: no machine answers it, with a note that somebody is on holiday, or a bounce.
        .raw_header(header("Auto-Submitted", "auto-generated".into()));
    if let Some(reply_to) = mail.reply_to {
        let reply_to = address(reply_to).ok_or_else(|| rejected("the reply-to address"))?;
        builder = builder.reply_to(Mailbox::new(None, reply_to));
    }
    // What no header can carry is not accepted any more; what was is better sent without.
    if let Some(url) = mail.unsubscribe_url.filter(|url| is_link(url)) {
        builder = builder
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into()));
    }
    let parts = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, mail.plain))
        .singlepart(part(ContentType::TEXT_HTML, mail.html));
    let message = builder.multipart(parts).map_err(|_| rejected("a header"))?;
    Ok(Composed { id: mail.id, from, to, bytes: message.formatted() })
}

/// `Message-ID` without its brackets.
pub(crate) fn message_id(id: NotificationId, domain: &str) -> String {
    format!("{id}@{domain}")
}

fn rejected(what: &str) -> SendFailure {
    SendFailure::Rejected(format!("cannot compose the e-mail: {what} is not usable"))
}

/// An address as the platform takes them, which is wider than lettre's own idea of one: a dot may begin or end the local
/// part, as some companies allow, and the local part may be long.
fn address(text: &str) -> Option<Address> {
    let address = EmailAddress::parse(text).ok()?.in_ascii();
    let (local, host) = address.rsplit_once('@')?;
    Some(Address::new_dangerous(local, host))
}

/// What acceptance takes for an `https` URL is wider than it looks: `https:x` is one.
fn is_link(url: &str) -> bool {
    ["http", "mailto:"].iter().any(|scheme| url.starts_with(scheme)) && fits_a_header(url)
}

fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn subject_header(subject: &str) -> HeaderValue {
    let line = one_line(subject);
    written("Subject", line.clone(), |writer| {
        if reads_as_typed(&line) { writer.folding().write_str(&line) } else { rfc2047::encode(&line, writer) }
    })
}

fn from_header(name: &str, address: &Address) -> HeaderValue {
    let name = one_line(name);
    // lettre looks for an address among the headers, and need not read the name.
    written("From", address.to_string(), |writer| {
        if name.is_empty() {
            return write!(writer, "{address}");
        }
        // A dot is quoted only beside something else that must be.
        if reads_as_typed(&name) && (name.contains(' ') || !name.contains('.')) {
            quoted_string::encode(&name, writer)?;
        } else {
            rfc2047::encode(&name, writer)?;
        }
        writer.space();
        writer.folding().write_str(&format!("<{address}>"))
    })
}

/// A header that is written by hand, encoded and folded.
fn written(
    name: &'static str,
    raw: String,
    write: impl FnOnce(&mut EmailWriter<'_>) -> std::fmt::Result,
) -> HeaderValue {
    let mut value = String::with_capacity(raw.len());
    let mut writer = EmailWriter::new(&mut value, name.len() + ": ".len(), 0, false);
    write(&mut writer).expect("a String takes any text");
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), raw, value)
}

/// Whether mail programs show a line as it is: visible ASCII in short words, one space between two, nothing like an encoded
/// word (RFC 2047).
fn reads_as_typed(line: &str) -> bool {
    const LONGEST_WORD: usize = 60;
    !line.contains("=?")
        && line.split(' ').all(|word| {
            (1..=LONGEST_WORD).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
        })
}

/// Without line breaks and other control characters, which could begin a header of their own.
fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// A part of the body. Bytes that relays refuse or change (NUL, a line's end that is none) are encoded.
fn part(content_type: ContentType, text: &str) -> SinglePart {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let is_odd = |c: char| c.is_ascii_control() && c != '\n' && c != '\t';
    let body = if text.contains(is_odd) {
        Body::new_with_encoding(text, ContentTransferEncoding::Base64).expect("base64 holds anything")
    } else {
        Body::new(text)
    };
    SinglePart::builder().header(content_type).body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";

    fn mail() -> Mail<'static> {
        Mail {
            id: ID.parse().unwrap(),
            from_name: "Queue",
            from_local_part: "queue",
            to: "ada@example.com",
            reply_to: None,
            subject: "Your turn",
            plain: "Hello\n",
            html: "<p>Hello</p>",
            unsubscribe_url: None,
        }
    }

    /// The header lines, without the date.
    fn headers(mail: &Mail<'_>) -> Vec<String> {
        let composed = compose(mail, "notify.example").unwrap();
        let text = String::from_utf8(composed.bytes).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        head.split("\r\n").filter(|line| !line.starts_with("Date: ")).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn the_headers_of_the_contract() {
        let full = Mail {
            reply_to: Some("desk@bücher.example"),
            to: "Ada.O'Hara+tag@bücher.example",
            unsubscribe_url: Some("https://queue.example/unsubscribe?id=1"),
            ..mail()
        };
        let mut headers = headers(&full);
        let content_type = headers.pop().unwrap();
        assert!(content_type.starts_with(" boundary="), "{content_type}");
        assert_eq!(
            headers,
            [
                "From: Queue <queue@notify.example>",
                "To: Ada.O'Hara+tag@xn--bcher-kva.example",
                "Subject: Your turn",
                "Message-ID: <6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11@notify.example>",
                "Auto-Submitted: auto-generated",
                "Reply-To: desk@xn--bcher-kva.example",
                "List-Unsubscribe: <https://queue.example/unsubscribe?id=1>",
                "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
                "MIME-Version: 1.0",
                "Content-Type: multipart/alternative;",
            ]
        );
    }

    #[test]
    fn any_name_and_subject_can_be_sent() {
        let all: String = (' '..='~').collect();
        for name in [
            "",
            " ",
            "Ada",
            "Find & apply (beta)",
            "a@b <c@d>, e",
            "\"",
            "\\",
            "O'Neill; \"Q\"",
            "Gwasanaeth Iechyd – Dŵr",
            "🦆",
            "=?utf-8?q?x?=",
            "\r\n",
            &all,
            &"long ".repeat(200),
            &"é".repeat(500),
            &"a".repeat(5000),
        ] {
            for line in headers(&Mail { from_name: name, subject: name, ..mail() }) {
                assert!(line.is_ascii() && line.len() <= 998, "{name:?}: {line}");
            }
        }
        let unicode = headers(&Mail { from_name: "Dŵr", subject: "Dŵr", ..mail() });
        assert_eq!(unicode[0], "From: =?utf-8?b?RMW1cg==?= <queue@notify.example>");
        assert_eq!(unicode[2], "Subject: =?utf-8?b?RMW1cg==?=");
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        let evil = "x\r\nBcc: eve@example.com\r\n\r\nbody\u{0}\n.\n";
        let names = |mail: &Mail<'_>| -> Vec<String> {
            let lines = headers(mail).into_iter().filter(|line| !line.starts_with(' '));
            lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&Mail { from_name: evil, subject: evil, ..mail() }), names(&mail()));
        let refused =
            |mail: &Mail<'_>| matches!(compose(mail, "notify.example"), Err(SendFailure::Rejected(_)));
        for address in [
            evil,
            "",
            "@",
            "a@",
            "@b.c",
            "a b@c.d",
            "a\r\n@c.d",
            "a@c.d\r\nRCPT TO:<eve@example.com>",
            "<a@b.c>",
            "a@b.c>",
            "a@b c",
            "\"a\"@b.c",
            "é@b.c",
            "a,b@c.d",
        ] {
            assert!(refused(&Mail { to: address, ..mail() }), "{address:?}");
            assert!(refused(&Mail { reply_to: Some(address), ..mail() }), "{address:?}");
        }
        for local in [evil, "", "a b", "a\r\nb", "<a"] {
            assert!(refused(&Mail { from_local_part: local, ..mail() }), "{local:?}");
        }
        let long = format!("https://a/{}", "a".repeat(1000));
        for url in [
            evil,
            "",
            "queue.example",
            "https://a\r\nb",
            "https://a>b",
            "javascript:x",
            "https://é.example/",
            &long,
        ] {
            assert_eq!(names(&Mail { unsubscribe_url: Some(url), ..mail() }), names(&mail()), "{url:?}");
        }
    }

    #[test]
    fn addresses_that_the_contract_takes_are_taken() {
        for to in [
            ".a.@example.com",
            "a!#$%&'*+/=?^_`{|}~-@example.com",
            &format!("{}@example.com", "a".repeat(200)),
        ] {
            assert_eq!(compose(&Mail { to, ..mail() }, "notify.example").unwrap().to.as_ref() as &str, to);
        }
    }

    /// A mail as somebody else's parser reads it.
    fn parsed(mail: &Mail<'_>) -> mail_parser::Message<'static> {
        let bytes = compose(mail, "notify.example").unwrap().bytes;
        assert!(bytes.is_ascii() && bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 999));
        mail_parser::MessageParser::default().parse(&bytes).unwrap().into_owned()
    }

    fn shown(mail: &Mail<'_>) -> (String, String) {
        let message = parsed(mail);
        let from = message.from().unwrap().first().unwrap();
        assert_eq!(from.address(), Some("queue@notify.example"));
        (from.name().unwrap_or_default().to_owned(), message.subject().unwrap_or_default().to_owned())
    }

    #[test]
    fn names_and_subjects_arrive_as_typed() {
        let word = "a".repeat(2000);
        let words = "many words ".repeat(300);
        for typed in [
            "=?utf-8?Q?hi?=",
            "=?utf-8?Q?hi?= there",
            "Re: =?ISO-8859-1?B?aGk=?=",
            "a=?b",
            "two  spaces",
            "é  è",
            "Dŵr and Dŵr",
            "St. Mary's (Leeds), \"Q\" \\ <a@b.c>; x:",
            "A.B",
            "北京图书馆",
            "🦆🦆",
            &word,
            words.trim(),
            &"é".repeat(700),
        ] {
            let mail = Mail { from_name: typed, subject: typed, ..mail() };
            assert_eq!(shown(&mail), (typed.to_owned(), typed.to_owned()));
        }
    }

    proptest::proptest! {
        /// Everything that acceptance lets through can be composed, and be read by others.
        #[test]
        fn what_is_accepted_can_be_composed(
            name: String,
            subject: String,
            plain: String,
            html: String,
            local in "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,200}",
            host in "[a-z]{1,20}(-[a-z]{1,9})?\\.(example|bücher|みんな)",
            path in "[a-zA-Z0-9._~:/?#@!$&'()*+,;=%-]{0,889}",
        ) {
            let part = domain::sender_name::email_local_part(&name);
            let to = format!("{local}@{host}");
            proptest::prop_assume!(EmailAddress::parse(&to).is_ok());
            let url = format!("https:{path}");
            let mail = Mail {
                from_name: &name,
                from_local_part: &part,
                to: &to,
                reply_to: Some(&to),
                subject: &subject,
                plain: &plain,
                html: &html,
                unsubscribe_url: Some(&url),
                ..mail()
            };
            let message = parsed(&mail);
            let words = |text: &str| one_line(text);
            assert_eq!(message.subject().unwrap_or_default(), words(&subject));
            let from = message.from().unwrap().first().unwrap();
            assert_eq!(from.name().unwrap_or_default(), words(&name));
            assert_eq!(from.address().unwrap(), format!("{part}@notify.example"));
            let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
            assert_eq!(lines(&message.body_text(0).unwrap()).trim_end(), lines(&plain).trim_end());
            assert_eq!(message.header_raw("List-Unsubscribe").unwrap().trim(), format!("<{url}>"));
        }
    }

    #[test]
    fn both_parts_are_there_in_this_order() {
        let bytes = compose(&Mail { plain: "Pris £5\n.\n", html: "<p>Pris £5</p>", ..mail() }, "n.example")
            .unwrap()
            .bytes;
        let text = String::from_utf8(bytes).unwrap();
        let plain = text.find("Content-Type: text/plain; charset=utf-8").unwrap();
        let html = text.find("Content-Type: text/html; charset=utf-8").unwrap();
        assert!(plain < html && text.is_ascii(), "{text}");
        assert!(text.contains("Pris =C2=A35") || text.contains("quoted-printable"), "{text}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends with CR LF");
    }
}
