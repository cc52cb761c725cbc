//! What providers, or whoever says to be one, send: receipts and received texts.
#![no_main]

use domain::status::{ProviderId, Status};
use libfuzzer_sys::fuzz_target;
use provider::{BadReceipt, firetext, inbound, meaning, mmg, ses_receipt};

fuzz_target!(|body: &[u8]| {
    let read = [
        mmg::read_receipt(body),
        firetext::read_receipt(body),
        ses_receipt::read(body, true).and_then(|posted| match posted {
            ses_receipt::Posted::Receipt(words) => Ok(words),
            other => Err(BadReceipt::Invalid(format!("{other:?}"))),
        }),
    ];
    for words in read.into_iter().flatten() {
        for status in [Status::Created, Status::Sending, Status::Pending, Status::Delivered] {
            for sent_by in [None, Some(ProviderId::Mmg), Some(ProviderId::Firetext), Some(ProviderId::Smtp)] {
                let _ = meaning(&words, status, sent_by);
            }
        }
        let _ = words.notification_id();
    }
    let now = domain::clock::Clock::System.now();
    drop((inbound::read_mmg(body, now), inbound::read_firetext(body, now)));
});
