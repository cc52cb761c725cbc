//! Reading a mail: what of it the inbox shows.

use mail_parser::{MessageParser, PartType};

use crate::{
    control::Provider,
    now,
    record::{Message, Outcome, Receipt},
};

/// A mail's parts. What cannot be read is empty: the simulator takes anything.
#[derive(Clone, Default)]
pub(crate) struct Mail {
    /// The `Message-ID` header without angle brackets.
    pub(crate) id: String,
    from: Option<String>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    headers: Vec<(String, String)>,
}

impl Mail {
    pub(crate) fn read(content: &[u8]) -> Self {
        // A message without parts is one that `mail-parser` could not make anything of; asking it for headers panics.
        let Some(mail) = MessageParser::default().parse(content).filter(|mail| !mail.parts.is_empty()) else {
            return Self::default();
        };
        let sender = mail.from().and_then(|senders| senders.first());
        let unfold = |value: &str| value.replace(['\r', '\n'], "").trim().to_owned();
        Self {
            id: mail.message_id().unwrap_or_default().to_owned(),
            from: sender.map(|sender| match (sender.name(), sender.address().unwrap_or_default()) {
                (Some(name), address) => format!("{name} <{address}>"),
                (None, address) => address.to_owned(),
            }),
            subject: mail.subject().map(str::to_owned),
            text: mail.text_bodies().find_map(|part| match &part.body {
                PartType::Text(text) => Some(text.as_ref().to_owned()),
                _ => None,
            }),
            html: mail.html_bodies().find_map(|part| match &part.body {
                PartType::Html(html) => Some(html.as_ref().to_owned()),
                _ => None,
            }),
            headers: mail.headers_raw().map(|(name, value)| (name.to_owned(), unfold(value))).collect(),
        }
    }

    /// The mail as the inbox shows it, with its envelope.
    pub(crate) fn into_message(self, from: &str, to: String, outcome: Outcome, receipt: Receipt) -> Message {
        Message {
            id: 0,
            received_at: now(),
            provider: Provider::Email,
            outcome,
            reference: self.id,
            to,
            from: self.from.unwrap_or_else(|| from.to_owned()),
            subject: self.subject,
            text: self.text,
            html: self.html,
            headers: self.headers,
            receipt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mail_is_an_empty_one() {
        for content in
            [&b""[..], b"\r\n", b"\0\xff\xfe", b"no header at all", b"Content-Type: multipart/mixed\r\n\r\n"]
        {
            let message = Mail::read(content).into_message(
                "q@n.example",
                String::new(),
                Outcome::Accepted,
                Receipt::None,
            );
            assert_eq!((message.reference.as_str(), message.html), ("", None), "{content:?}");
            assert_eq!(message.from, "q@n.example");
        }
    }

    #[test]
    fn headers_are_unfolded() {
        let mail =
            Mail::read(b"List-Unsubscribe:\r\n <https://n.example/u>\r\nFrom: a@n.example\r\n\r\nHello\r\n");
        assert_eq!(mail.headers[0], ("List-Unsubscribe".to_owned(), "<https://n.example/u>".to_owned()));
        assert_eq!((mail.from.as_deref(), mail.text.as_deref()), (Some("a@n.example"), Some("Hello\r\n")));
    }
}
