//! Receipts in each vendor's exact words. Pure: what is posted when, and how often, is `outbox`.

use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{control::Provider, scenario::Fate};

/// One receipt, ready to be posted.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) fate: Fate,
    pub(crate) body: Bytes,
}

/// What a text's receipts are about.
#[derive(Clone, Copy)]
pub(crate) struct SentText<'a> {
    /// The platform's reference.
    pub(crate) reference: &'a str,
    /// The vendor's own number of the message.
    pub(crate) number: u64,
    pub(crate) to: &'a str,
}

/// What a mail's receipts are about.
#[derive(Clone, Copy)]
pub(crate) struct SentMail<'a> {
    /// The `Message-ID` header without angle brackets.
    pub(crate) message_id: &'a str,
    pub(crate) to: &'a [String],
    pub(crate) sent_at: DateTime<Utc>,
}

/// What the vendor says a receipt's body is.
pub(crate) fn content_type(provider: Provider) -> &'static str {
    match provider {
        Provider::Mmg => "application/json",
        Provider::Firetext => "application/x-www-form-urlencoded",
        Provider::Email => "text/plain; charset=UTF-8",
    }
}

/// MMG's receipts for these fates, as of `at`.
pub(crate) fn mmg(text: SentText<'_>, fates: &[Fate], at: DateTime<Utc>) -> Vec<Step> {
    let body = |(status, substatus): (&str, &str)| {
        spaced(&[
            ("reference", &text.number.to_string()),
            ("CID", text.reference),
            ("MSISDN", text.to),
            ("status", status),
            ("substatus", substatus),
            ("deliverytime", &london(at)),
        ])
    };
    let status = |fate| match fate {
        Fate::Delivered | Fate::Complaint => ("3", "5"),
        Fate::PermanentFailure => ("5", "52"),
        Fate::TemporaryFailure => ("4", "6"),
        Fate::Unknown => ("99", "99"),
    };
    fates.iter().map(|&fate| Step { fate, body: body(status(fate)).into() }).collect()
}

/// Firetext's receipts for these fates, as of `at`. A temporary failure takes two: still trying, then given up.
pub(crate) fn firetext(text: SentText<'_>, fates: &[Fate], at: DateTime<Utc>) -> Vec<Step> {
    #[derive(Serialize)]
    struct Form<'a> {
        mobile: &'a str,
        status: &'a str,
        code: &'a str,
        time: &'a str,
        reference: &'a str,
    }
    let time = london(at);
    let body = |(status, code)| {
        let form = Form { mobile: text.to, status, code, time: &time, reference: text.reference };
        serde_urlencoded::to_string(form).expect("a flat struct of strings is a form")
    };
    let statuses = |fate| -> &[(&str, &str)] {
        match fate {
            Fate::Delivered | Fate::Complaint => &[("0", "000")],
            Fate::PermanentFailure => &[("1", "101")],
            Fate::TemporaryFailure => &[("2", "102"), ("1", "102")],
            Fate::Unknown => &[("99", "000")],
        }
    };
    let steps = |&fate| statuses(fate).iter().map(move |&status| Step { fate, body: body(status).into() });
    fates.iter().flat_map(steps).collect()
}

/// Amazon's receipts for these fates, as of `at`: an SES event in an SNS envelope, which is not signed.
pub(crate) fn ses(mail: SentMail<'_>, fates: &[Fate], at: DateTime<Utc>) -> Vec<Step> {
    let time = amazon(at);
    let envelope = |fate| {
        spaced(&[
            ("Type", "Notification"),
            ("MessageId", &Uuid::new_v4().to_string()),
            ("TopicArn", "arn:aws:sns:eu-west-1:123456789012:receipts"),
            ("Message", &event(mail, fate, &time).to_string()),
            ("Timestamp", &time),
        ])
    };
    fates.iter().map(|&fate| Step { fate, body: envelope(fate).into() }).collect()
}

fn event(mail: SentMail<'_>, fate: Fate, time: &str) -> Value {
    let about =
        json!({"messageId": mail.message_id, "timestamp": amazon(mail.sent_at), "destination": mail.to});
    let recipients: Vec<Value> = mail.to.iter().map(|address| json!({"emailAddress": address})).collect();
    let bounce = |kind| {
        json!({"notificationType": "Bounce", "mail": about, "bounce": {
            "bounceType": kind, "bounceSubType": "General", "bouncedRecipients": recipients,
            "timestamp": time, "feedbackId": Uuid::new_v4()}})
    };
    match fate {
        Fate::Delivered => {
            json!({"notificationType": "Delivery", "mail": about, "delivery": {"timestamp": time}})
        }
        Fate::PermanentFailure => bounce("Permanent"),
        Fate::TemporaryFailure => bounce("Transient"),
        Fate::Complaint => {
            json!({"notificationType": "Complaint", "mail": about, "complaint": {
                "complainedRecipients": recipients, "timestamp": time, "feedbackId": Uuid::new_v4(),
                "complaintFeedbackType": "abuse"}})
        }
        Fate::Unknown => json!({"notificationType": "Unheard-of", "mail": about}),
    }
}

/// A JSON object of strings with the spaces that the vendors write.
pub(crate) fn spaced(fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\": {}", json!(value))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn amazon(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// `2026-03-02 10:11:12` in London, where both SMS companies are.
fn london(time: DateTime<Utc>) -> String {
    let offset = TimeDelta::hours(i64::from(is_summer(time)));
    (time + offset).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// British summer time: from 01:00 UTC of March's last Sunday to 01:00 UTC of October's.
fn is_summer(time: DateTime<Utc>) -> bool {
    let change = |month| {
        let last = NaiveDate::from_ymd_opt(time.year(), month, 31)?;
        let sunday = last.checked_sub_days(Days::new(last.weekday().num_days_from_sunday().into()))?;
        Some(sunday.and_hms_opt(1, 0, 0)?.and_utc())
    };
    change(3).zip(change(10)).is_some_and(|(start, end)| (start..end).contains(&time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: SentText<'_> =
        SentText { reference: "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11", number: 5512, to: "447700900123" };

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    fn bodies(steps: Vec<Step>) -> Vec<String> {
        steps.into_iter().map(|step| String::from_utf8(step.body.to_vec()).unwrap()).collect()
    }

    #[test]
    fn mmg_writes_what_the_contract_shows() {
        assert_eq!(
            bodies(mmg(TEXT, &[Fate::Delivered], at("2026-03-02T10:11:12.909Z"))),
            [concat!(
                r#"{"reference": "5512", "CID": "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11", "MSISDN": "447700900123", "#,
                r#""status": "3", "substatus": "5", "deliverytime": "2026-03-02 10:11:12"}"#
            )]
        );
    }

    #[test]
    fn mmg_tells_the_fates_apart() {
        let fates = [Fate::PermanentFailure, Fate::TemporaryFailure, Fate::Unknown];
        let statuses: Vec<_> = bodies(mmg(TEXT, &fates, at("2026-03-02T10:11:12Z")))
            .iter()
            .map(|body| serde_json::from_str::<Value>(body).unwrap()["status"].clone())
            .collect();
        assert_eq!(statuses, ["5", "4", "99"]);
    }

    #[test]
    fn mmg_escapes_a_reference_that_would_break_out() {
        let text = SentText { reference: r#"a"}\"#, ..TEXT };
        let body = &bodies(mmg(text, &[Fate::Delivered], at("2026-03-02T10:11:12Z")))[0];
        assert_eq!(serde_json::from_str::<Value>(body).unwrap()["CID"], r#"a"}\"#);
    }

    #[test]
    fn firetext_writes_a_form_in_london_time() {
        assert_eq!(
            bodies(firetext(TEXT, &[Fate::Delivered], at("2026-07-02T10:11:12Z"))),
            [concat!(
                "mobile=447700900123&status=0&code=000&time=2026-07-02+11%3A11%3A12",
                "&reference=6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11"
            )]
        );
    }

    #[test]
    fn firetext_is_pending_before_a_temporary_failure() {
        let steps =
            firetext(TEXT, &[Fate::TemporaryFailure, Fate::PermanentFailure], at("2026-07-02T10:11:12Z"));
        let shown: Vec<_> = bodies(steps).iter().map(|body| body[20..37].to_owned()).collect();
        assert_eq!(shown, ["status=2&code=102", "status=1&code=102", "status=1&code=101"]);
    }

    #[test]
    fn ses_puts_json_into_a_string() {
        let mail = SentMail {
            message_id: "0102-000000@notify.example",
            to: &["ada@example.com".to_owned()],
            sent_at: at("2026-03-02T10:11:12.909Z"),
        };
        let body = &bodies(ses(mail, &[Fate::Delivered], at("2026-03-02T10:11:13.567Z")))[0];
        let envelope: Value = serde_json::from_str(body).unwrap();
        let names: Vec<_> = envelope.as_object().unwrap().keys().collect();
        assert_eq!(names, ["Type", "MessageId", "TopicArn", "Message", "Timestamp"]);
        assert_eq!(envelope["Timestamp"], "2026-03-02T10:11:13.567Z");
        assert_eq!(
            envelope["Message"],
            concat!(
                r#"{"notificationType":"Delivery","mail":{"messageId":"0102-000000@notify.example","#,
                r#""timestamp":"2026-03-02T10:11:12.909Z","destination":["ada@example.com"]},"#,
                r#""delivery":{"timestamp":"2026-03-02T10:11:13.567Z"}}"#
            )
        );
    }

    #[test]
    fn ses_bounces_and_complains() {
        let time = at("2026-03-02T10:11:12Z");
        let mail = SentMail { message_id: "m", to: &["ada@example.com".to_owned()], sent_at: time };
        let event = |fate| event(mail, fate, "now");
        assert_eq!(event(Fate::PermanentFailure)["bounce"]["bounceType"], "Permanent");
        let transient = event(Fate::TemporaryFailure);
        assert_eq!(transient["bounce"]["bounceType"], "Transient");
        assert_eq!(transient["bounce"]["bouncedRecipients"][0]["emailAddress"], "ada@example.com");
        assert_eq!(event(Fate::Complaint)["complaint"]["complaintFeedbackType"], "abuse");
    }

    #[test]
    fn summer_starts_and_ends_on_the_last_sundays() {
        for (time, expected) in [
            ("2026-03-29T00:59:59Z", "2026-03-29 00:59:59"),
            ("2026-03-29T01:00:00Z", "2026-03-29 02:00:00"),
            ("2026-10-25T00:59:59Z", "2026-10-25 01:59:59"),
            ("2026-10-25T01:00:00Z", "2026-10-25 01:00:00"),
            ("2024-03-31T01:00:00Z", "2024-03-31 02:00:00"),
        ] {
            assert_eq!(london(at(time)), expected, "{time}");
        }
    }
}
