//! Each provider has its own number of calls at once, and its own pauses.

use std::{collections::HashSet, time::Duration};

use domain::{
    provider::Standing,
    retry::SendFailure,
    status::{Channel, ProviderId},
};
use provider::{AtOnce, Config, NoPlace, Providers, Text};

use crate::{
    http_server::{Act, HttpServer, answer},
    standing,
};

fn text() -> Text<'static> {
    Text {
        id: "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11".parse().unwrap(),
        to: "447700900123",
        from: "QUEUE",
        body: "hello",
        international: false,
    }
}

/// MMG and Firetext with these weights, and three calls at once for each.
fn both(mmg: &str, firetext: &str, weights: (u8, u8)) -> Providers {
    let mut config = Config::default();
    config.mmg.url = mmg.into();
    config.mmg.key = "key".into();
    config.firetext.url = firetext.into();
    config.firetext.key = "key".into();
    let providers = Providers::new(&config, AtOnce { sms: 3, email: 3 }).unwrap();
    let at_home = Standing { international: false, ..standing(ProviderId::Firetext, weights.1) };
    providers.stand(vec![standing(ProviderId::Mmg, weights.0), at_home]);
    providers
}

const NOWHERE: &str = "http://127.0.0.1:1/";

#[tokio::test]
async fn who_is_full_is_not_chosen_while_another_one_has_room() {
    let providers = both(NOWHERE, NOWHERE, (99, 1));
    let places: Vec<_> = std::iter::from_fn(|| providers.enter_sms(false).ok()).collect();
    let ids: Vec<_> = places.iter().map(|place| place.id()).collect();
    assert_eq!(ids.len(), 6);
    assert_eq!(ids.iter().filter(|id| **id == ProviderId::Mmg).count(), 3);
    let full = NoPlace::Wait(Duration::from_secs(1));
    assert_eq!(providers.enter_sms(false).unwrap_err(), full);
    let (mmg, firetext): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| place.id() == ProviderId::Mmg);
    drop(firetext);
    assert_eq!(providers.enter_sms(true).unwrap_err(), full, "only MMG goes abroad");
    assert_eq!(providers.room(Channel::Sms).await, 3);
    drop(mmg);
    assert_eq!(providers.room(Channel::Sms).await, 6);
}

#[tokio::test]
async fn who_weighs_nothing_is_not_chosen_even_when_the_others_are_full() {
    let providers = both(NOWHERE, NOWHERE, (1, 0));
    let places: Vec<_> = std::iter::from_fn(|| providers.enter_sms(false).ok()).collect();
    assert!(places.len() == 3 && places.iter().all(|place| place.id() == ProviderId::Mmg));
}

#[tokio::test]
async fn where_nobody_takes_part_nobody_is_waited_for() {
    let providers = both(NOWHERE, NOWHERE, (0, 0));
    let nobody = SendFailure::Misconfigured("No active sms providers".into());
    assert_eq!(providers.enter_sms(false).unwrap_err(), NoPlace::Nobody(nobody));
    assert_eq!(providers.room(Channel::Sms).await, usize::MAX);
}

#[tokio::test]
async fn whoever_waits_for_room_goes_on_as_soon_as_a_place_is_given_back() {
    let providers = both(NOWHERE, NOWHERE, (1, 0));
    let mut places: Vec<_> = std::iter::from_fn(|| providers.enter_sms(false).ok()).collect();
    let waiting = providers.room(Channel::Sms);
    let leaving = async {
        tokio::task::yield_now().await;
        drop(places.pop());
    };
    assert_eq!(tokio::join!(waiting, leaving).0, 1);
}

/// One word to one message is for all of them: the others do not knock, they go elsewhere or wait.
#[tokio::test]
async fn who_asks_for_patience_is_left_alone_by_all_messages() {
    let throttles = HttpServer::start(|n| match n {
        0 => answer("429 Slow down", "retry-after: 2\r\n", "{}"),
        _ => answer("200 OK", "", "{}"),
    });
    let takes = HttpServer::start(|_| answer("200 OK", "", r#"{"code": 0}"#));
    let providers = both(&throttles.url(), &takes.url(), (100, 1));
    let place = loop {
        let place = providers.enter_sms(false).unwrap();
        if place.id() == ProviderId::Mmg {
            break place;
        }
    };
    assert!(matches!(place.send(&text()).await, Err(SendFailure::Throttled { .. })));
    drop(place);
    for _ in 0..20 {
        assert!(providers.enter_sms(false).unwrap().send(&text()).await.is_ok());
    }
    assert_eq!((throttles.seen().len(), takes.seen().len()), (1, 20));
    let Err(NoPlace::Wait(wait)) = providers.enter_sms(true) else { panic!("nobody else goes abroad") };
    assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(2), "{wait:?}");
    providers.stand(vec![standing(ProviderId::Mmg, 1)]);
    assert_eq!(providers.room(Channel::Sms).await, 1, "the pause is over, and one may ask");
    assert!(providers.enter_sms(false).unwrap().send(&text()).await.is_ok());
    assert_eq!(providers.room(Channel::Sms).await, 2);
}

#[tokio::test]
async fn who_hangs_takes_nobody_along() {
    let hangs = HttpServer::start(|_| Act::Hang);
    let takes = HttpServer::start(|_| answer("200 OK", "", r#"{"code": 0}"#));
    let providers = both(&hangs.url(), &takes.url(), (50, 50));
    let mut hanging = Vec::new();
    let mut ids = HashSet::new();
    for _ in 0..100 {
        providers.room(Channel::Sms).await;
        let place = providers.enter_sms(false).unwrap();
        ids.insert(place.id());
        match place.id() {
            ProviderId::Firetext => assert!(place.send(&text()).await.is_ok()),
            _ => hanging.push(place),
        }
    }
    assert_eq!((hanging.len(), ids.len()), (3, 2));
}
