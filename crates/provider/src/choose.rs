//! Which provider carries a message: by chance, weighted.

use domain::{
    provider::Standing,
    retry::SendFailure,
    status::{Channel, ProviderId},
};
use rand::{Rng, RngExt};

/// Draws one of `candidates`, in proportion to their weights. A lone one is taken whatever its weight; of several, one
/// of weight 0 never is.
///
/// # Errors
/// When there is none, or all weigh nothing: someone turned them off, and the send is retried until someone turns one on.
pub(crate) fn choose(
    channel: Channel,
    candidates: &[Standing],
    rng: &mut impl Rng,
) -> Result<ProviderId, SendFailure> {
    if let [only] = candidates {
        return Ok(only.provider);
    }
    let total: u32 = candidates.iter().map(|c| u32::from(c.weight)).sum();
    if total > 0 {
        let mut point = rng.random_range(0..total);
        for candidate in candidates {
            let weight = u32::from(candidate.weight);
            if point < weight {
                return Ok(candidate.provider);
            }
            point -= weight;
        }
    }
    Err(SendFailure::Misconfigured(format!("No active {channel} providers")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn standing(provider: ProviderId, weight: u8) -> Standing {
        Standing { provider, active: true, weight, international: true }
    }

    fn draw(weights: &[(ProviderId, u8)], times: u32) -> Result<HashMap<ProviderId, u32>, SendFailure> {
        let candidates: Vec<_> =
            weights.iter().map(|&(provider, weight)| standing(provider, weight)).collect();
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn = HashMap::new();
        for _ in 0..times {
            *drawn.entry(choose(Channel::Sms, &candidates, &mut rng)?).or_default() += 1;
        }
        Ok(drawn)
    }

    use ProviderId::{Firetext, Mmg};

    #[test]
    fn draws_follow_the_weights() {
        let drawn = draw(&[(Mmg, 51), (Firetext, 49)], 100_000).unwrap();
        let share = f64::from(drawn[&Mmg]) / 100_000.0;
        assert!((0.50..0.52).contains(&share), "{share}");
        let drawn = draw(&[(Mmg, 90), (Firetext, 10)], 100_000).unwrap();
        let share = f64::from(drawn[&Firetext]) / 100_000.0;
        assert!((0.09..0.11).contains(&share), "{share}");
    }

    #[test]
    fn a_weight_of_nothing_is_never_drawn_but_a_lone_provider_always() {
        assert_eq!(draw(&[(Mmg, 0), (Firetext, 1)], 1000).unwrap(), HashMap::from([(Firetext, 1000)]));
        assert_eq!(draw(&[(Mmg, 1), (Firetext, 0)], 1000).unwrap(), HashMap::from([(Mmg, 1000)]));
        assert_eq!(draw(&[(Mmg, 0)], 10).unwrap(), HashMap::from([(Mmg, 10)]));
    }

    #[test]
    fn none_or_all_of_no_weight_is_an_error_that_is_retried() {
        let none = Err(SendFailure::Misconfigured("No active sms providers".into()));
        assert_eq!(draw(&[], 1), none);
        assert_eq!(draw(&[(Mmg, 0), (Firetext, 0)], 1), none);
    }
}
