//! Which provider carries a message: by chance, weighted.

use domain::{retry::SendFailure, status::Channel};
use rand::{Rng, RngExt};

/// Somebody who could carry it, with a weight.
pub(crate) type Candidate<T> = (u8, T);

/// Those that may be drawn: a lone one whatever its weight; of several, none of weight 0.
///
/// # Errors
/// When there is none, or all weigh nothing: someone turned them off, and the send is retried until someone turns one on.
pub(crate) fn carriers<T>(
    channel: Channel,
    mut candidates: Vec<Candidate<T>>,
) -> Result<Vec<Candidate<T>>, SendFailure> {
    if candidates.len() > 1 {
        candidates.retain(|(weight, _)| *weight > 0);
    }
    if candidates.is_empty() {
        return Err(SendFailure::Misconfigured(format!("No active {channel} providers")));
    }
    Ok(candidates)
}

/// Draws one, in proportion to the weights, and takes it out; none only of none.
pub(crate) fn draw<T>(carriers: &mut Vec<Candidate<T>>, rng: &mut impl Rng) -> Option<T> {
    let total: u32 = carriers.iter().map(|(weight, _)| u32::from(*weight)).sum();
    let mut point = rng.random_range(0..total.max(1));
    let drawn = carriers.iter().position(|(weight, _)| {
        let weight = u32::from(*weight);
        let found = point < weight;
        point = point.saturating_sub(weight);
        found
    });
    // A lone one may weigh nothing.
    let drawn = drawn.or(carriers.len().checked_sub(1))?;
    Some(carriers.swap_remove(drawn).1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use domain::status::ProviderId;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn draws(candidates: &[(ProviderId, u8)], times: u32) -> Result<HashMap<ProviderId, u32>, SendFailure> {
        let candidates = candidates.iter().map(|&(provider, weight)| (weight, provider)).collect();
        let carriers = carriers(Channel::Sms, candidates)?;
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn = HashMap::new();
        for _ in 0..times {
            *drawn.entry(draw(&mut carriers.clone(), &mut rng).unwrap()).or_default() += 1;
        }
        Ok(drawn)
    }

    use ProviderId::{Firetext, Mmg};

    #[test]
    fn draws_follow_the_weights() {
        let drawn = draws(&[(Mmg, 51), (Firetext, 49)], 100_000).unwrap();
        let share = f64::from(drawn[&Mmg]) / 100_000.0;
        assert!((0.50..0.52).contains(&share), "{share}");
        let drawn = draws(&[(Mmg, 90), (Firetext, 10)], 100_000).unwrap();
        let share = f64::from(drawn[&Firetext]) / 100_000.0;
        assert!((0.09..0.11).contains(&share), "{share}");
    }

    #[test]
    fn a_weight_of_nothing_is_never_drawn_but_a_lone_provider_always() {
        assert_eq!(draws(&[(Mmg, 0), (Firetext, 1)], 1000).unwrap(), HashMap::from([(Firetext, 1000)]));
        assert_eq!(draws(&[(Mmg, 1), (Firetext, 0)], 1000).unwrap(), HashMap::from([(Mmg, 1000)]));
        assert_eq!(draws(&[(Mmg, 0)], 10).unwrap(), HashMap::from([(Mmg, 10)]));
    }

    #[test]
    fn none_or_all_of_no_weight_is_an_error_that_is_retried() {
        let none = Err(SendFailure::Misconfigured("No active sms providers".into()));
        assert_eq!(draws(&[], 1), none);
        assert_eq!(draws(&[(Mmg, 0), (Firetext, 0)], 1), none);
    }

    #[test]
    fn all_are_drawn_one_after_the_other() {
        let mut carriers = vec![(9, Mmg), (1, Firetext)];
        let mut rng = StdRng::seed_from_u64(7);
        let mut order: Vec<_> = std::iter::from_fn(|| draw(&mut carriers, &mut rng)).collect();
        order.sort();
        assert_eq!(order.len(), 2);
        order.dedup();
        assert_eq!(order.len(), 2);
    }
}
