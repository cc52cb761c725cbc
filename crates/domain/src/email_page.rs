//! The HTML page around an e-mail: one column, 580 pixels wide, readable in light and in dark, with every style inline
//! except what dark mode needs. Deliberately without logo, banner or web fonts.

use std::fmt;

/// What goes into the page. All of it is HTML already: whoever makes a page has escaped what came from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// Shown in lists of mails, not in the mail.
    pub(crate) preheader: &'a str,
    pub(crate) body: &'a str,
}

/// Dark mode has to override the inline colours.
const HEAD: &str = r#"<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<style>
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  body, .page { background-color: #0b0c0c !important; }
  body, h2, h3, p, li, blockquote, td { color: #ffffff !important; }
  a { color: #8eb8dc !important; }
}
@media (max-width: 600px) {
  .column { padding: 20px 15px !important; }
}
</style>"#;

const HIDDEN: &str = "display: none; font-size: 1px; line-height: 1px; max-height: 0; max-width: 0; opacity: 0; overflow: hidden; mso-hide: all;";
const BODY: &str = "margin: 0; padding: 0; background-color: #ffffff; color: #0B0C0C; font-family: Helvetica, Arial, sans-serif; font-size: 19px; line-height: 25px; -webkit-text-size-adjust: 100%;";
const PAGE: &str = "width: 100%; border-collapse: collapse; background-color: #ffffff;";
const CONTENT: &str = "width: 100%; max-width: 580px; margin: 0 auto; border-collapse: collapse;";
/// Both ways of saying that long words break: a table is otherwise as wide as its longest word, and links, which have
/// `word-wrap` of their own, heed only the first.
const COLUMN: &str = "padding: 30px 10px; text-align: left; font-family: Helvetica, Arial, sans-serif; font-size: 19px; line-height: 25px; color: #0B0C0C; word-break: break-word; overflow-wrap: anywhere;";

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, preheader, body } = self;
        let ellipsis = if preheader.is_empty() { "" } else { "…" };
        write!(
            f,
            r#"<!DOCTYPE html>
<html lang="en">
<head>
{HEAD}
<title>{title}</title>
</head>
<body style="{BODY}">
<span style="{HIDDEN}">{preheader}{ellipsis}</span>
<table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" style="{PAGE}">
<tr><td align="center" style="padding: 0;">
<table role="presentation" width="580" cellpadding="0" cellspacing="0" border="0" style="{CONTENT}">
<tr><td class="column" style="{COLUMN}">
<main>
{body}
</main>
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
"#
        )
    }
}
