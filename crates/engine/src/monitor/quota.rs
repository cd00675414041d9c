//! Shares the places of a limit among the replicas, so that one cannot take those of the others.

use std::collections::{BTreeMap, HashSet};

use crate::metric::Labels;

/// A series that wants a place. The less its rank, the earlier it gets one of its replica's places.
pub(super) type Claim<'a> = (u8, &'a Labels);

/// The series that get no place, if there are only so many.
///
/// Every replica, known by its label `instance`, gets as many places as it wants, up to a quota that
/// is the same for all. Series without the label share one quota.
pub(super) fn without_a_place(claims: Vec<Claim<'_>>, places: usize) -> HashSet<Labels> {
    let mut replicas: BTreeMap<&str, Vec<Claim<'_>>> = BTreeMap::new();
    for claim in claims {
        let instance = claim.1.get("instance").unwrap_or_default();
        replicas.entry(instance).or_default().push(claim);
    }
    let quota = quota(places, replicas.values().map(Vec::len).collect());
    let mut without = HashSet::new();
    for mut claims in replicas.into_values().filter(|claims| claims.len() > quota) {
        // Stable: of equal rank, the first keep their places.
        claims.sort_by_key(|(rank, _)| *rank);
        let late = claims.into_iter().skip(quota);
        without.extend(late.map(|(_, labels)| labels.clone()));
    }
    without
}

/// The largest quota under which all these wishes together need no more than `places`.
fn quota(places: usize, mut wishes: Vec<usize>) -> usize {
    wishes.sort_unstable();
    let (mut left, mut replicas) = (places, wishes.len());
    for wish in wishes {
        let share = left / replicas;
        if wish > share {
            return share;
        }
        left -= wish;
        replicas -= 1;
    }
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::{quota, without_a_place};
    use crate::metric::Labels;

    #[test]
    fn what_one_replica_does_not_need_the_others_get() {
        for (places, wishes, expected) in [
            (10, vec![3, 4], usize::MAX),
            (10, vec![12], 10),
            (10, vec![12, 1], 9),
            (10, vec![12, 12], 5),
            (10, vec![12, 2, 12], 4),
            (1, vec![2, 2], 0),
            (0, vec![1], 0),
            (0, vec![], usize::MAX),
        ] {
            assert_eq!(
                quota(places, wishes.clone()),
                expected,
                "{places} {wishes:?}"
            );
        }
    }

    #[test]
    fn the_replica_with_most_series_goes_without_and_keeps_those_of_the_lowest_rank() {
        let series = |instance: &str, n: usize| {
            Labels::new([("instance", instance.to_owned()), ("n", n.to_string())])
        };
        let hostile: Vec<Labels> = (0..20).map(|n| series("a", n)).collect();
        let good = series("b", 0);
        let mut claims: Vec<_> = hostile.iter().map(|labels| (1, labels)).collect();
        claims[19].0 = 0;
        claims.push((1, &good));
        let without = without_a_place(claims, 5);
        assert_eq!(without.len(), 16);
        assert!(!without.contains(&good));
        assert!(!without.contains(&hostile[19]) && !without.contains(&hostile[2]));
        assert!(without.contains(&hostile[3]));
    }
}
