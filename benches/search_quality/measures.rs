//! The measures of the evaluation. They see grades, not remediations: `found` is a ranking's grades, the best place
//! first, and `corpus` the grades of everything there is to find.

use std::time::Duration;

use crate::questions::Grade;

/// How many resamples an interval is made of.
const RESAMPLES: usize = 10_000;
/// The seed of the resampling, so that the same scores give the same interval.
const SEED: u64 = 20_260_504;

/// The share of what could have been found in `k` places that was: those of at least `least` among the first `k`, of
/// as many as there are, but no more than `k`. `None` where there is nothing to find.
///
/// Hundreds of remediations may be relevant; dividing by all of them would measure how many there are.
pub fn recall(found: &[Grade], corpus: &[Grade], least: Grade, k: usize) -> Option<f64> {
    let possible = hits(corpus, least).min(k);
    (possible > 0).then(|| hits(first(found, k), least) as f64 / possible as f64)
}

/// The share of the first `k` places that hold something of at least `least`; a place left empty holds nothing.
pub fn precision(found: &[Grade], least: Grade, k: usize) -> f64 {
    hits(first(found, k), least) as f64 / k as f64
}

/// One over the place of the first of at least `least` among the first `k`; 0 where there is none.
pub fn reciprocal_rank(found: &[Grade], least: Grade, k: usize) -> f64 {
    let place = first(found, k).iter().position(|grade| *grade >= least);
    place.map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// The discounted gain of the first `k` places, as a share of what the best order of the whole corpus would gain. The
/// gain of grade g is 2^g − 1. `None` where there is nothing to gain.
pub fn ndcg(found: &[Grade], corpus: &[Grade], k: usize) -> Option<f64> {
    let mut ideal = corpus.to_vec();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = gain(first(&ideal, k));
    (best > 0.0).then(|| gain(first(found, k)) / best)
}

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The value that `share` of the values do not exceed (nearest rank); zero of nothing.
pub fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// A difference of means, and between which values it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl Difference {
    /// Whether it is more than the luck of these questions.
    pub fn is_clear(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// How much better the first system is than the second on the same questions: a paired bootstrap. The questions are
/// drawn anew with replacement, each with both its scores, because a question that is hard for one is mostly hard for
/// both.
pub fn difference(ours: &[f64], theirs: &[f64]) -> Difference {
    assert_eq!(ours.len(), theirs.len(), "both systems were asked the same questions");
    let gains: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs).collect();
    if gains.is_empty() {
        return Difference { mean: 0.0, low: 0.0, high: 0.0 };
    }
    let mut seed = SEED;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| gains.iter().map(|_| gains[(next(&mut seed) % gains.len() as u64) as usize]).sum::<f64>())
        .map(|sum| sum / gains.len() as f64)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Difference { mean: mean(&gains), low: at(0.025), high: at(0.975) }
}

fn first(grades: &[Grade], k: usize) -> &[Grade] {
    &grades[..k.min(grades.len())]
}

fn hits(grades: &[Grade], least: Grade) -> usize {
    grades.iter().filter(|grade| **grade >= least).count()
}

fn gain(grades: &[Grade]) -> f64 {
    let of = |(place, grade): (usize, &Grade)| (f64::from(*grade).exp2() - 1.0) / (place as f64 + 2.0).log2();
    // A sum of nothing would be minus zero, and be printed so.
    grades.iter().enumerate().map(of).fold(0.0, |sum, gain| sum + gain)
}

/// SplitMix64: our own, so that an upgrade of a crate never moves an interval.
pub fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-4, "{a} is not {b}");
    }

    #[test]
    fn recall_is_of_what_fits_into_the_places() {
        let corpus = [3, 3, 1, 1, 0, 0];
        close(recall(&[3, 0, 1, 0], &corpus, 1, 10).unwrap(), 2.0 / 4.0);
        close(recall(&[3, 0, 1, 0], &corpus, 3, 10).unwrap(), 1.0 / 2.0);
        // Four are relevant and two places are asked for: two would be all that can be had.
        close(recall(&[3, 1, 1, 3], &corpus, 1, 2).unwrap(), 1.0);
        close(recall(&[0, 0, 3], &corpus, 1, 2).unwrap(), 0.0);
        assert_eq!(recall(&[1, 1], &[1, 1], 3, 10), None);
    }

    #[test]
    fn precision_is_of_the_places_also_of_empty_ones() {
        close(precision(&[1, 0, 3, 0], 1, 4), 0.5);
        close(precision(&[1], 1, 4), 0.25);
        close(precision(&[0, 3], 3, 1), 0.0);
    }

    #[test]
    fn the_reciprocal_rank_is_of_the_first_hit() {
        close(reciprocal_rank(&[0, 1, 3], 1, 10), 1.0 / 2.0);
        close(reciprocal_rank(&[0, 1, 3], 3, 10), 1.0 / 3.0);
        close(reciprocal_rank(&[0, 1, 3], 3, 2), 0.0);
        close(reciprocal_rank(&[], 1, 10), 0.0);
    }

    #[test]
    fn ndcg_compares_with_the_best_order_of_the_corpus() {
        // By hand: 1/log2(2) + 7/log2(4) = 1 + 3.5 = 4.5; at best 7/log2(2) + 7/log2(3) + 1/log2(4) = 11.91651.
        close(ndcg(&[1, 0, 3], &[0, 1, 3, 3], 3).unwrap(), 4.5 / 11.916_51);
        close(ndcg(&[3, 3, 1, 0], &[0, 1, 3, 3], 10).unwrap(), 1.0);
        close(ndcg(&[0, 0, 0, 3], &[3], 3).unwrap(), 0.0);
        assert_eq!(ndcg(&[0], &[0, 0], 10), None);
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 0.5), Duration::from_millis(10));
        assert_eq!(percentile(&values, 0.95), Duration::from_millis(19));
        assert_eq!(percentile(&values[..1], 0.95), Duration::from_millis(20));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn a_difference_that_every_question_has_is_clear_and_one_that_few_have_is_not() {
        let theirs = vec![0.4; 50];
        let ours = vec![0.5; 50];
        let always = difference(&ours, &theirs);
        close(always.mean, 0.1);
        close(always.low, 0.1);
        assert!(always.is_clear());

        // Better by 1 on 26 questions and worse by 1 on 24.
        let ours: Vec<f64> = (0..50).map(|place| if place < 26 { 1.0 } else { -1.0 }).collect();
        let luck = difference(&ours, &vec![0.0; 50]);
        close(luck.mean, 0.04);
        // The standard error is 0.9992 / √50 = 0.1413, so the interval is about 0.04 ± 0.277.
        assert!((luck.low + 0.237).abs() < 0.03 && (luck.high - 0.317).abs() < 0.03, "{luck:?}");
        assert!(!luck.is_clear());
        assert_eq!(luck, difference(&ours, &vec![0.0; 50]));
        assert!(!difference(&[], &[]).is_clear());
    }

    #[test]
    fn means_are_means() {
        close(mean(&[0.0, 0.5, 1.0]), 0.5);
        close(mean(&[]), 0.0);
    }
}
