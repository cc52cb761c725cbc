//! An e-mail as it goes over the wire: headers, plain text and HTML.
//!
//! Nothing that a service or a caller wrote can add a header: names and subjects become one line, addresses and links
//! are taken only if they hold nothing but the characters of their kind.

use domain::{email_address::EmailAddress, id::NotificationId, retry::SendFailure};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue, MessageId},
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
pub(crate) struct Composed {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) bytes: Vec<u8>,
}

/// Puts the message together. What cannot be put together never will be: such a failure is final.
pub(crate) fn compose(mail: &Mail<'_>, domain: &str) -> Result<Composed, SendFailure> {
    let from = Address::new(mail.from_local_part, domain).map_err(|_| rejected("the sender's address"))?;
    let to = address(mail.to).ok_or_else(|| rejected("the recipient's address"))?;
    let message_id = message_id(mail.id, domain);
    let name = Some(one_line(mail.from_name)).filter(|name| !name.is_empty());
    let envelope =
        Envelope::new(Some(from.clone()), vec![to.clone()]).map_err(|_| rejected("the envelope"))?;

    let mut builder = Message::builder()
        .envelope(envelope)
        .from(Mailbox::new(name, from.clone()))
        .to(Mailbox::new(None, to.clone()))
        .subject(one_line(mail.subject))
        .header(MessageId::from(format!("<{message_id}>")));
    if let Some(reply_to) = mail.reply_to {
        let reply_to = address(reply_to).ok_or_else(|| rejected("the reply-to address"))?;
        builder = builder.reply_to(Mailbox::new(None, reply_to));
    }
    if let Some(url) = mail.unsubscribe_url {
        if !is_link(url) {
            return Err(rejected("the unsubscribe link"));
        }
        for (name, value) in [
            (HeaderName::new_from_ascii_str("List-Unsubscribe"), format!("<{url}>")),
            (HeaderName::new_from_ascii_str("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click".into()),
        ] {
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
    }
    let parts = MultiPart::alternative_plain_html(mail.plain.to_owned(), mail.html.to_owned());
    let message = builder.multipart(parts).map_err(|_| rejected("a header"))?;
    Ok(Composed { from, to, bytes: message.formatted() })
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

/// Something that can stand between angle brackets on a header line.
fn is_link(url: &str) -> bool {
    const LONGEST: usize = 900;
    let schemes = ["https://", "http://", "mailto:"];
    url.len() <= LONGEST
        && schemes.iter().any(|scheme| url.starts_with(scheme))
        && url.chars().all(|c| c.is_ascii_graphic() && c != '<' && c != '>')
}

/// Without line breaks and other control characters, which could begin a header of their own, and with a space in words
/// that would not fit on a line (RFC 5322: 998 bytes).
fn one_line(text: &str) -> String {
    const LONGEST_WORD: usize = 500;
    let (mut line, mut word) = (String::with_capacity(text.len()), 0);
    for c in text.trim().chars() {
        if c.is_control() || c == ' ' || word == LONGEST_WORD {
            line.push(' ');
            word = 0;
        }
        if !c.is_control() && c != ' ' {
            line.push(c);
            word += 1;
        }
    }
    line
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
        for url in
            [evil, "", "queue.example", "https://a\r\nb", "https://a>b", "javascript:x", "https://é.example/"]
        {
            assert!(refused(&Mail { unsubscribe_url: Some(url), ..mail() }), "{url:?}");
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
